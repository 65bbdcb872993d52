"""Agreement of two runs and of two scorers: figures against their definitions in loops."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from simlm.evaluation.agreement import PERSISTENCE, Rankings, agreement, alike, effect_ratios

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


LISTS = [
    ([3.0, 1.0, 2.0, 2.0], [0.5, -1.0, 0.7, 0.2]),
    ([1.0, 2.0], [10.0, 30.0]),
    ([9.0], [1.0]),  # says nothing
    ([], []),
    ([5.0, 4.0, -1.0], [7.0, 6.0, 1.0]),
]


def tau_b(one: list[float], other: list[float]) -> float:
    agree = ties_one = ties_other = pairs = 0
    for i in range(len(one)):
        for j in range(i):
            a, b = np.sign(one[i] - one[j]), np.sign(other[i] - other[j])
            agree += int(a * b)
            ties_one, ties_other, pairs = ties_one + (a == 0), ties_other + (b == 0), pairs + 1
    return float(agree / math.sqrt((pairs - ties_one) * (pairs - ties_other)))


def test_scorers_figures_are_their_definitions() -> None:
    found = alike((np.array(one), np.array(other)) for one, other in LISTS)
    counted = [(one, other) for one, other in LISTS if len(one) > 1]
    squares, first = 0.0, 0
    for one, other in counted:
        shift = sum(one) / len(one) - sum(other) / len(other)
        squares += sum((a - b - shift) ** 2 for a, b in zip(one, other, strict=True))
        first += one.index(max(one)) == other.index(max(other))
    assert found is not None and (found.lists, found.pairs) == (3, 9)
    assert found.kendall == pytest.approx(sum(tau_b(*both) for both in counted) / 3)
    assert found.first == first / 3 and 0 < first < 3
    assert found.error == pytest.approx(math.sqrt(squares / 9))


def test_a_constant_added_to_a_list_changes_nothing() -> None:
    found = alike([(np.array([1.0, 3.0, 2.0]), np.array([101.0, 103.0, 102.0]))])
    assert found == (1, 3, pytest.approx(1.0), 1.0, pytest.approx(0.0, abs=1e-12))


def test_no_scores_to_compare() -> None:
    assert alike([(np.array([1.0]), np.array([1.0]))]) is None and alike([]) is None
    flat = alike([(np.array([1.0, 1.0]), np.array([1.0, 2.0]))])
    assert flat is not None and math.isnan(flat.kendall)
