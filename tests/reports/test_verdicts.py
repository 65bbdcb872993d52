"""Verdicts on claims: against scipy's own tests, and for what the words mean."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from reports.verdicts import (
    ABOVE,
    CONFOUNDED,
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Expectation,
    Measured,
    judge,
    not_below,
    same,
    slightly,
)
from simlm.evaluation.crossed import Difference, crossed

LEVEL, MARGIN = 0.2, 0.02
NOT_BELOW, SAME, SLIGHTLY = not_below(MARGIN), same(MARGIN), slightly(MARGIN)
EXPECTATIONS = [ABOVE, NOT_BELOW, SAME, SLIGHTLY]


def verdict(expected: Expectation, mean: float, error: float = 1e-4) -> str:
    return judge({"claim": (expected, [Measured(Difference(mean, error, 1000), LEVEL)])})["claim"].verdict


@pytest.mark.parametrize(
    ("expected", "mean", "said"),
    [
        (ABOVE, 0.01, SUPPORTED),
        (ABOVE, -0.01, CONTRADICTED),
        (ABOVE, 0.0, UNDECIDED),
        (NOT_BELOW, 0.0, SUPPORTED),
        (NOT_BELOW, -0.5 * MARGIN * LEVEL, SUPPORTED),
        (NOT_BELOW, -MARGIN * LEVEL, UNDECIDED),
        (NOT_BELOW, -2 * MARGIN * LEVEL, CONTRADICTED),
        (SAME, 0.0, SUPPORTED),
        (SAME, 2 * MARGIN * LEVEL, CONTRADICTED),
        (SAME, -2 * MARGIN * LEVEL, CONTRADICTED),
        (SLIGHTLY, 0.5 * MARGIN * LEVEL, SUPPORTED),
        (SLIGHTLY, 2 * MARGIN * LEVEL, CONTRADICTED),
        (SLIGHTLY, -0.01, CONTRADICTED),
    ],
)
def test_a_sure_difference_is_judged_by_where_it_lies(expected: Expectation, mean: float, said: str) -> None:
    assert verdict(expected, mean) == said


@pytest.mark.parametrize(("mean", "error"), [(0.01, 1e-4), (-0.01, 1e-4), (0.01, 1.0)])
def test_what_stands_on_a_public_start_is_confounded_or_undecided(mean: float, error: float) -> None:
    found = {name: (ABOVE, [Measured(Difference(mean, error, 1000), LEVEL)]) for name in ("on it", "not")}
    apart = judge(found, confounded={"on it"})
    decided = verdict(ABOVE, mean, error)
    assert apart["not"].verdict == decided and apart["not"].p_holm == apart["on it"].p_holm
    assert apart["on it"].verdict == (UNDECIDED if decided == UNDECIDED else CONFOUNDED)


@pytest.mark.parametrize("expected", EXPECTATIONS)
@pytest.mark.parametrize("mean", [-0.01, 0.0, 0.005, 0.01])
def test_what_is_uncertain_is_undecided(expected: Expectation, mean: float) -> None:
    assert verdict(expected, mean, error=1.0) == UNDECIDED
    assert judge({"claim": (expected, [Measured(Difference(mean, 0.0, 0.0), LEVEL)])})["claim"].verdict == UNDECIDED


@pytest.mark.parametrize(
    ("expected", "said"), [(ABOVE, UNDECIDED), (NOT_BELOW, SUPPORTED), (SAME, SUPPORTED), (SLIGHTLY, UNDECIDED)]
)
def test_two_rows_that_are_equal_on_every_query(expected: Expectation, said: str) -> None:
    assert judge({"claim": (expected, [Measured(crossed(np.zeros((1, 9))), LEVEL)])})["claim"].verdict == said


def test_p_of_above_is_the_two_sided_paired_test() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.2, 80)
    found = judge({"claim": (ABOVE, [Measured(crossed(values[None]), LEVEL)])})["claim"]
    assert found.p == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_p_of_no_difference_is_that_of_two_one_sided_tests() -> None:
    values = np.random.default_rng(2).normal(0.0, 0.02, 80)
    found = judge({"claim": (SAME, [Measured(crossed(values[None]), LEVEL)])})["claim"]
    margin = MARGIN * LEVEL
    low = ttest_1samp(values, -margin, alternative="greater").pvalue
    high = ttest_1samp(values, margin, alternative="less").pvalue
    assert found.p == pytest.approx(2 * max(low, high))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(EXPECTATIONS), st.floats(-0.05, 0.05), st.floats(1e-3, 0.02)), max_size=8))
def test_more_claims_never_make_a_verdict_surer(claims: list[tuple[Expectation, float, float]]) -> None:
    found = {
        str(i): (expected, [Measured(Difference(mean, error, 50), LEVEL)])
        for i, (expected, mean, error) in enumerate(claims)
    }
    together = judge(found)
    for name, one in found.items():
        alone = judge({name: one})[name]
        assert together[name].p == alone.p and together[name].p_holm >= alone.p_holm
        assert together[name].verdict in (alone.verdict, UNDECIDED)


def measured(*means: float, error: float = 0.01) -> list[Measured]:
    return [Measured(Difference(mean, error, 1000), LEVEL) for mean in means]


def test_of_several_orders_in_one_claim_the_largest_p_decides() -> None:
    together = judge({"claim": (ABOVE, measured(0.1, 0.03, 0.2))})["claim"]
    assert together.p == pytest.approx(judge({"claim": (ABOVE, measured(0.03))})["claim"].p)
    assert together.verdict == SUPPORTED
    assert judge({"claim": (ABOVE, measured(0.1, 0.001, 0.2))})["claim"].verdict == UNDECIDED
    one_below = judge({"claim": (ABOVE, measured(0.1, -0.05, 0.2))})["claim"]
    assert one_below.verdict == CONTRADICTED
    assert one_below.p == pytest.approx(3 * judge({"claim": (ABOVE, measured(-0.05))})["claim"].p)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (ABOVE, "above 0"),
        (NOT_BELOW, "above -0.0040"),
        (SAME, "within ±0.0040"),
        (SLIGHTLY, "between 0.0000 and +0.0040"),
    ],
)
def test_a_range_in_units_of_the_measure(expected: Expectation, words: str) -> None:
    assert expected.within(LEVEL) == words


@pytest.mark.parametrize(
    ("widened", "truth"),
    [(lambda by: ABOVE, 1.0), (not_below, 0.0), (same, 0.0), (slightly, 0.5)],
    ids=["above", "not below", "same", "slightly"],
)
def test_the_smallest_provable_is_what_four_in_five_runs_prove(
    widened: Callable[[float], Expectation], truth: float
) -> None:
    """With the margin, or the true effect, of that size, under the rule in force: t-tests at Holm's first step."""
    tests, queries, runs = 10, 60, 200
    rng = np.random.default_rng(4)
    size = widened(1.0).provable(Difference(0.0, 0.1 / np.sqrt(queries), queries - 1), 0.05 / tests)
    expected = widened(size / LEVEL)
    others = {str(i): (ABOVE, measured(0.0)) for i in range(tests - 1)}
    proven = 0
    for _ in range(runs):
        found = crossed(rng.normal(truth * size, 0.1, (1, queries)))
        proven += judge({"claim": (expected, [Measured(found, LEVEL)]), **others})["claim"].verdict == SUPPORTED
    assert 0.7 <= proven / runs <= 0.9
