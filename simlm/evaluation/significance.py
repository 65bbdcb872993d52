"""How sure a difference between two runs is: bootstrap intervals, paired tests, Holm's correction.

The test is the paired two-sided t-test over queries. With IR measures it keeps its nominal error rates and
agrees with the randomisation test (Smucker, Allan and Carterette, CIKM 2007; Urbano, Lima and Hanjalic,
SIGIR 2019, who recommend it). With thousands of queries and few relevant passages each, as here, it, the
bootstrap and the randomisation test stay close to the nominal level, while Wilcoxon's and the sign test
reject too often (Ihemelandu and Ekstrand, SIGIR 2023).
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 2023
_DRAWS_AT_ONCE = 4_000_000
"""Query draws of the bootstrap held in memory at a time (32 MB of int64)."""


def bootstrap_means(values: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Return the means (resamples, columns) of samples of the queries, drawn with replacement.

    ``values`` is (queries, columns). All columns of one resample share its queries, so differences of columns are
    paired. Memory stays bounded however many queries there are.
    """
    queries = len(values)
    if queries == 0:
        raise ValueError("a bootstrap needs at least one query")
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    block = max(1, _DRAWS_AT_ONCE // queries)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        draws = generator.integers(queries, size=(size, queries))
        draws += np.arange(size)[:, None] * queries
        counts = np.bincount(draws.ravel(), minlength=size * queries).reshape(size, queries)
        means[start : start + size] = counts @ values / queries
    return means


class Resampled:
    """Bootstrap distributions of many columns' means, drawn once, all from the same samples of the queries.

    `values` is (query; column). Ten rows by four measures take as long as one, and a difference of columns is
    paired.
    """

    def __init__(self, values: pd.DataFrame, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        self._places = {column: place for place, column in enumerate(values.columns)}
        self._means = bootstrap_means(values.to_numpy(dtype=np.float64), resamples, seed)

    def interval(self, column: Hashable, minus: Hashable | None = None, level: float = LEVEL) -> tuple[float, float]:
        """Return the percentile interval (low, high) of a column's mean, or of its mean difference from another."""
        means = self._means[:, self._places[column]]
        if minus is not None:
            means = means - self._means[:, self._places[minus]]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def bootstrap_interval(
    values: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of the mean of ``values`` (queries,)."""
    return Resampled(pd.DataFrame({"mean": np.asarray(values)}), resamples, seed).interval("mean", level=level)


def side_by_side(rows: Mapping[str, pd.DataFrame], measures: Sequence[str]) -> pd.DataFrame:
    """Put the per-query values of several rows into one frame: columns (row, measure), queries as in the first row.

    Raises ValueError when rows were measured on different queries.
    """
    first = next(iter(rows.values())).index
    for name, values in rows.items():
        if not values.index.is_unique or set(values.index) != set(first):
            raise ValueError(f"row {name} was measured on different queries than {next(iter(rows))}")
    return pd.concat({name: values.reindex(first)[list(measures)] for name, values in rows.items()}, axis=1)


def paired_test(a: np.ndarray, b: np.ndarray) -> float:
    """Return the two-sided p of the paired t-test over per-query values ``a`` and ``b``, both (queries,) in one order.

    It is 1.0 where there is nothing to test: fewer than two queries, or no query on which the two differ.
    """
    from scipy.stats import ttest_rel  # here, for scipy.stats takes a second to import

    if np.shape(a) != np.shape(b):
        raise ValueError(f"a paired test needs the same queries, not {np.shape(a)} and {np.shape(b)}")
    if len(a) < 2 or np.array_equal(a, b):
        return 1.0
    return float(ttest_rel(a, b).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for the family of tests that they form (Holm, 1979): reject where the result is below alpha."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for position, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def compare(
    rows: Mapping[str, pd.DataFrame], baseline: str, measure: str, resampled: Resampled | None = None
) -> pd.DataFrame:
    """Compare every other row with ``baseline`` by one measure.

    Args:
        rows: per-query values of each row, as `simlm.evaluation.measures.evaluate` returns them, all of the same
            queries in whatever order.
        baseline: a key of ``rows``.
        measure: a column of them.
        resampled: the bootstrap of the rows under columns (row, measure), where the caller has drawn it already.

    Returns:
        A frame indexed by ``row`` with the columns difference (row minus baseline), low and high (bootstrap interval of
        the difference), p, and p_holm, corrected over these rows.
    """
    values = side_by_side(rows, [measure])
    resampled = resampled or Resampled(values)
    base = values[(baseline, measure)]
    names = [name for name in rows if name != baseline]
    p_values = {name: paired_test(values[(name, measure)].to_numpy(), base.to_numpy()) for name in names}
    corrected = holm(p_values)
    lines = [
        (
            float((values[(name, measure)] - base).mean()),
            *resampled.interval((name, measure), minus=(baseline, measure)),
            p_values[name],
            corrected[name],
        )
        for name in names
    ]
    columns = ["difference", "low", "high", "p", "p_holm"]
    return pd.DataFrame(lines, index=pd.Index(names, name="row"), columns=columns)


class Improvement(NamedTuple):
    """Mean effectiveness of a baseline and of the row that improves on it, on one collection, in [0, 1]."""

    baseline: float
    advanced: float


def effect_ratio(published: Improvement, measured: Improvement) -> float | None:
    """Return the effect ratio of Breuer et al. (SIGIR 2020): the measured mean improvement over the published one.

    1 is the published effect, above 1 a larger one, between 0 and 1 a smaller one, below 0 the opposite. It is made for
    this case, a claim tried on another collection. It needs mean improvements alone, so each mean is handed to
    repro_eval as its only topic. None where the published means are equal.
    """
    from repro_eval.measure.overall_effects import ER

    if published.advanced == published.baseline:
        return None

    def scores(mean: float) -> dict[str, dict[str, float]]:
        return {"mean": {"value": mean}}

    ratios = ER(
        orig_score_a=scores(published.advanced),
        orig_score_b=scores(published.baseline),
        rep_score_a=scores(measured.advanced),
        rep_score_b=scores(measured.baseline),
    )
    return float(ratios["value"])
