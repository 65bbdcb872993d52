"""Agreement of two runs: repro-eval's figures against their definitions in loops."""

import math

import pandas as pd
import pytest
from scipy.stats import kendalltau

from simlm.evaluation.agreement import PERSISTENCE, Rankings, agreement, effect_ratios

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


def placed(run: Rankings) -> pd.DataFrame:
    """Reciprocal rank of passage "1"; and a measure by which all runs are equal."""
    values = {query: 1 / (1 + ids.index("1")) if "1" in ids else 0.0 for query, ids in run.items()}
    return pd.DataFrame({"place": values, "same": dict.fromkeys(run, 0.5)})


def test_effect_ratio_is_our_mean_improvement_over_theirs_query_by_query() -> None:
    theirs = {
        "low": {"a": ["2", "3", "1"], "b": ["3", "2"], "c": ["1", "2"], "x": ["1"]},
        "high": {"a": ["1", "3"], "b": ["2", "1"], "c": ["2", "1"], "y": ["1"]},
    }
    ours = {
        "low": {"a": ["2", "1"], "b": ["4", "3"], "c": ["1", "2"], "x": ["2", "1"]},
        "high": {"a": ["1", "2"], "b": ["3", "4", "5", "1"], "c": ["1", "3"], "y": ["3"]},
    }
    found = effect_ratios(*(agreement(theirs[side], ours[side], placed) for side in ("low", "high")))
    gains: dict[str, float] = {"theirs": 0.0, "ours": 0.0}
    for name, runs in (("theirs", theirs), ("ours", ours)):
        for query in ("a", "b", "c"):
            for side, sign in (("high", 1), ("low", -1)):
                ids = runs[side][query]
                gains[name] += sign * sum(1 / place for place, id in enumerate(ids, start=1) if id == "1") / 3
    assert found.queries == 3
    assert found.ratio["place"] == pytest.approx(gains["ours"] / gains["theirs"]) and gains["theirs"] > 0
    assert found.ratio["same"] is None
    swapped = effect_ratios(*(agreement(ours[side], ours[side], placed) for side in ("low", "high")))
    assert swapped.ratio["place"] == pytest.approx(1)


def test_effect_ratio_needs_a_query_that_all_four_have() -> None:
    one, other = (agreement({query: ["1"]}, {query: ["1"]}, placed) for query in "ab")
    with pytest.raises(ValueError, match="no query in common"):
        effect_ratios(one, other)
