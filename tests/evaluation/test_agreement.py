"""Agreement of two runs: repro-eval's figures against their definitions in loops."""

import math

import pandas as pd
import pytest
from scipy.stats import kendalltau

from simlm.evaluation.agreement import PERSISTENCE, Rankings, agreement

ONE = {"a": ["1", "2", "3", "4"], "b": ["5", "6"], "c": ["7", "8", "9"], "alone": ["1"]}
OTHER = {"a": ["2", "1", "9", "3"], "b": ["6", "5", "1"], "c": ["7", "8", "9"]}


def first_is_odd(run: Rankings) -> pd.DataFrame:
    return pd.DataFrame({"odd": {query: float(int(ids[0]) % 2) for query, ids in run.items()}})


def overlap(one: list[str], other: list[str]) -> float:
    depth = min(len(one), len(other))
    weights = [PERSISTENCE**place for place in range(depth)]
    shares = [len({*one[: place + 1]} & {*other[: place + 1]}) / (place + 1) for place in range(depth)]
    return sum(map(float.__mul__, weights, shares)) / sum(weights)


def tau(one: list[str], other: list[str]) -> float:
    depth = min(len(one), len(other))
    union = sorted({*one[:depth], *other[:depth]})
    places = ([union.index(id) for id in run[:depth]] for run in (one, other))
    return float(kendalltau(*places).statistic)


def test_figures_are_their_definitions() -> None:
    found = agreement(ONE, OTHER, first_is_odd)
    assert found.queries == 3
    assert found.kendall == pytest.approx(sum(tau(ONE[query], OTHER[query]) for query in OTHER) / 3)
    assert found.overlap == pytest.approx(sum(overlap(ONE[query], OTHER[query]) for query in OTHER) / 3)
    assert found.error == {"odd": pytest.approx(math.sqrt(2 / 3))}


def test_the_same_run_agrees_wholly_and_no_query_in_common_is_no_comparison() -> None:
    found = agreement(OTHER, OTHER, first_is_odd)
    assert (found.kendall, found.overlap, found.error) == (1.0, pytest.approx(1.0), {"odd": 0.0})
    assert math.isnan(agreement({"a": ["1"]}, {"a": ["1", "2"]}, first_is_odd).kendall)
    with pytest.raises(ValueError, match="no query in common"):
        agreement({"a": ["1"]}, {"b": ["1"]}, first_is_odd)
