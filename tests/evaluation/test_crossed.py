"""The error of a mean over seeds and queries, against loops, scipy and simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import ttest_1samp

from simlm.evaluation.crossed import Difference, crossed

DIFFERENCES = npst.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(2, 8)),
    elements=st.floats(-1, 1).map(lambda value: round(value, 3)),
)


def by_loops(d: list[list[float]]) -> tuple[float, float, float]:
    """Mean, error and degrees of freedom of the two-way layout, spelt out."""
    s, q = len(d), len(d[0])
    mean = math.fsum(math.fsum(row) for row in d) / (s * q)
    seed = [math.fsum(row) / q for row in d]
    query = [math.fsum(row[j] for row in d) / s for j in range(q)]
    ms_seed = q * math.fsum((one - mean) ** 2 for one in seed) / (s - 1)
    ms_query = s * math.fsum((one - mean) ** 2 for one in query) / (q - 1)
    rest = [(d[i][j] - seed[i] - query[j] + mean) ** 2 for i, j in product(range(s), range(q))]
    ms_rest = math.fsum(rest) / ((s - 1) * (q - 1))
    ms_seed, ms_query = max(ms_seed, ms_rest), max(ms_query, ms_rest)
    total = ms_seed + ms_query - ms_rest
    parts = ms_seed**2 / (s - 1) + ms_query**2 / (q - 1) + ms_rest**2 / ((s - 1) * (q - 1))
    return mean, math.sqrt(total / (s * q)), total**2 / parts if parts else 0.0


@given(DIFFERENCES)
def test_mean_error_and_freedom_are_those_of_the_two_way_layout(d: np.ndarray) -> None:
    found = crossed(d)
    assert found.mean == pytest.approx(d.mean(), abs=1e-12)
    if len(d) > 1 and found.error > 1e-6:
        assert (found.mean, found.error, found.freedom) == pytest.approx(by_loops(d.tolist()), rel=1e-6, abs=1e-9)


@given(DIFFERENCES)
def test_one_seed_is_the_paired_t_test(d: np.ndarray) -> None:
    found = crossed(d[:1])
    if d[0].std() > 1e-6:
        expected = ttest_1samp(d[0], 0.01)
        assert 2 * min(found.p_above(0.01), found.p_below(0.01)) == pytest.approx(expected.pvalue, rel=1e-6)
        assert found.interval() == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-6, abs=1e-12)


def test_the_error_covers_the_variance_over_seeds_and_queries() -> None:
    rng = np.random.default_rng(0)
    seeds, queries, trials = 4, 60, 400
    inside = 0
    for _ in range(trials):
        d = 0.02 + 0.03 * rng.standard_normal((seeds, 1)) + 0.2 * rng.standard_normal((1, queries))
        low, high = crossed(d + 0.1 * rng.standard_normal((seeds, queries))).interval()
        inside += low <= 0.02 <= high
    assert 0.92 <= inside / trials <= 0.99


def test_more_seeds_that_differ_widen_what_one_seed_alone_would_say() -> None:
    one = np.tile(np.linspace(-0.1, 0.1, 50), (1, 1))
    both = np.concatenate([one + 0.1, one - 0.1])
    assert crossed(both).error > 3 * crossed(one).error


def test_where_nothing_varies_the_difference_is_what_it_is() -> None:
    for found in (crossed(np.full((2, 5), 0.25)), crossed(np.full((1, 5), 0.25))):
        assert found == Difference(0.25, 0.0, 4.0) and found.interval() == (0.25, 0.25) and found.detectable() == 0
        assert (found.p_above(0.2), found.p_below(0.2)) == (0, 1) and (found.p_above(0.25), found.p_below(0.25)) == (
            1,
            1,
        )


def test_a_single_value_says_nothing() -> None:
    found = crossed(np.array([[0.5]]))
    assert found.p_above(0) == found.p_below(0) == 1 and all(math.isnan(end) for end in found.interval())


def test_detectable_is_found_with_its_power() -> None:
    found = Difference(0.0, 0.01, 1e9)
    assert found.detectable() == pytest.approx((1.959964 + 0.841621) * 0.01, rel=1e-4)


def test_no_difference_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        crossed(np.empty((0, 3)))
