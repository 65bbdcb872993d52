"""How sure a mean difference is over training seeds and queries at once.

Every difference d[s, q] has the mean, an effect of its seed, an effect of its query, and a rest. Both seeds and queries
are samples of many, so the variance of the mean has a part for each (two-way crossed random effects, degrees of freedom
by Satterthwaite, 1946). With one seed what another would give cannot be known, and this is the paired t-test over
queries.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """A mean difference with its standard error and their degrees of freedom, 0 where the error cannot be estimated.

    Where nothing varies the error is 0, and the difference is what it is.
    """

    mean: float
    error: float
    freedom: float

    def p_above(self, bound: float) -> float:
        """Return the one-sided p of "the true difference is above ``bound``"; 1 where nothing can be estimated."""
        if not self.freedom:
            return 1.0
        if not self.error:
            return 0.0 if self.mean > bound else 1.0
        from scipy.stats import t  # here, for scipy.stats takes a second to import

        return float(t.sf((self.mean - bound) / self.error, self.freedom))

    def p_below(self, bound: float) -> float:
        """Return the one-sided p of "the true difference is below ``bound``"."""
        return Difference(-self.mean, self.error, self.freedom).p_above(-bound)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the ends of the interval of the true difference."""
        half = self._quantile((1 + level) / 2) * self.error
        return self.mean - half, self.mean + half

    def detectable(self, alpha: float = 0.05, power: float = POWER) -> float:
        """Return about the smallest true difference that a two-sided test at ``alpha`` finds with this power."""
        return (self._quantile(1 - alpha / 2) + self._quantile(power)) * self.error

    def _quantile(self, share: float) -> float:
        if not self.freedom:
            return math.nan
        from scipy.stats import t

        return float(t.ppf(share, self.freedom))


def crossed(differences: NDArray[np.float64]) -> Difference:
    """Return the mean of ``differences`` (seeds, queries) with its error over both.

    The variance of the mean is (MS_seeds + MS_queries - MS_rest) / (seeds x queries) with the mean squares of the
    two-way layout. A mean square of seeds or queries below that of the rest stands for no effect of its own and is
    raised to it, so that the error is never made smaller by chance. ValueError without a difference.
    """
    seeds, queries = differences.shape
    if not seeds or not queries:
        raise ValueError("a difference needs at least one seed and one query")
    mean = float(differences.mean())
    if seeds == 1 or queries == 1:
        values = differences.ravel()
        freedom = len(values) - 1
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if freedom else 0.0
        return Difference(mean, error, float(freedom))
    by_seed, by_query = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_seed[:, None] - by_query[None, :] + mean
    freedoms = np.array([seeds - 1, queries - 1, (seeds - 1) * (queries - 1)], dtype=np.float64)
    squares = np.array(
        [queries * ((by_seed - mean) ** 2).sum(), seeds * ((by_query - mean) ** 2).sum(), (rest**2).sum()]
    )
    ms = squares / freedoms
    ms[:2] = np.maximum(ms[:2], ms[2])
    signed = ms * (1, 1, -1)
    total = signed.sum()
    if total <= 0:
        return Difference(mean, 0.0, float(freedoms[1]))
    return Difference(mean, math.sqrt(total / (seeds * queries)), float(total**2 / (signed**2 / freedoms).sum()))
