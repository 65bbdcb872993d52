"""Verdicts on claims: against scipy's own tests, and for what the words mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from reports.verdicts import (
    ABOVE,
    CONTRADICTED,
    MARGIN,
    NOT_BELOW,
    SAME,
    SLIGHTLY,
    SUPPORTED,
    UNDECIDED,
    Expectation,
    judge,
)
from simlm.evaluation.crossed import Difference, crossed

LEVEL = 0.2
EXPECTATIONS = [ABOVE, NOT_BELOW, SAME, SLIGHTLY]


def verdict(expected: Expectation, mean: float, error: float = 1e-4) -> str:
    return judge({"claim": (expected, Difference(mean, error, 1000), LEVEL)})["claim"].verdict


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


@pytest.mark.parametrize("expected", EXPECTATIONS)
@pytest.mark.parametrize("mean", [-0.01, 0.0, 0.005, 0.01])
def test_what_is_uncertain_is_undecided(expected: Expectation, mean: float) -> None:
    assert verdict(expected, mean, error=1.0) == UNDECIDED
    assert judge({"claim": (expected, Difference(mean, 0.0, 0.0), LEVEL)})["claim"].verdict == UNDECIDED


@pytest.mark.parametrize(
    ("expected", "said"), [(ABOVE, UNDECIDED), (NOT_BELOW, SUPPORTED), (SAME, SUPPORTED), (SLIGHTLY, UNDECIDED)]
)
def test_two_rows_that_are_equal_on_every_query(expected: Expectation, said: str) -> None:
    assert judge({"claim": (expected, crossed(np.zeros((1, 9))), LEVEL)})["claim"].verdict == said


def test_p_of_above_is_the_two_sided_paired_test() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.2, 80)
    found = judge({"claim": (ABOVE, crossed(values[None]), LEVEL)})["claim"]
    assert found.p == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_p_of_no_difference_is_that_of_two_one_sided_tests() -> None:
    values = np.random.default_rng(2).normal(0.0, 0.02, 80)
    found = judge({"claim": (SAME, crossed(values[None]), LEVEL)})["claim"]
    margin = MARGIN * LEVEL
    low = ttest_1samp(values, -margin, alternative="greater").pvalue
    high = ttest_1samp(values, margin, alternative="less").pvalue
    assert found.p == pytest.approx(2 * max(low, high))


@given(st.lists(st.tuples(st.sampled_from(EXPECTATIONS), st.floats(-0.05, 0.05), st.floats(1e-3, 0.02)), max_size=8))
def test_more_claims_never_make_a_verdict_surer(claims: list[tuple[Expectation, float, float]]) -> None:
    found = {str(i): (expected, Difference(mean, error, 50), LEVEL) for i, (expected, mean, error) in enumerate(claims)}
    together = judge(found)
    for name, one in found.items():
        alone = judge({name: one})[name]
        assert together[name].p == alone.p and together[name].p_holm >= alone.p_holm
        assert together[name].verdict in (alone.verdict, UNDECIDED)
