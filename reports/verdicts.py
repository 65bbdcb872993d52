"""Verdicts on the paper's claims: the range in which a claim puts a true difference, and tests of it.

How large a difference "no difference" allows has to come from the paper. With a margin that is wider than the gaps that
the paper calls differences, those would be no differences either. So a margin is at most half of such a gap, and
"slightly" allows at most what the paper shows where it says so; `repro.paper_claims` takes both from its tables.
A claim that such margins leave open is undecided.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.model import ALPHA, CONFOUNDED
from simlm.evaluation.crossed import POWER, Difference
from simlm.evaluation.significance import holm

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = (
    "supported",
    "contradicted",
    "undecided",
    "not testable at this scale",
)


@dataclass(frozen=True)
class Expectation:
    """A claim's range for the true difference of two rows: `low` to `high`, as shares of the compared row's mean."""

    words: str
    low: float
    high: float

    def within(self, level: float) -> str:
        """Return the range in units of the measure. `level` is the mean of the row that is compared with."""
        low, high = self.low * level, self.high * level
        if not math.isfinite(high):
            return f"above {low:+.4f}" if low else "above 0"
        return f"within ±{high:.4f}" if low == -high else f"between {low:.4f} and {high:+.4f}"

    def provable(self, difference: Difference, alpha: float, power: float = POWER) -> float:
        """Return the smallest effect or margin that the run could have shown, NaN where there is no estimate.

        For an order it is the effect. Otherwise it is the margin: of non-inferiority or equivalence if the rows are
        truly equal, and of "slightly" if the true difference lies in the middle of the range.

        Args:
            difference: The measured difference with its standard error.
            alpha: The two-sided level of the test.
            power: The chance that the test succeeds.
        """
        if not math.isfinite(self.high):
            # From 0 up to an effect, or from a margin up to 0: the same distance.
            return difference.detectable(alpha, power)
        # Both tests must succeed: each may fail half as often.
        half = difference.detectable(alpha, (1 + power) / 2)
        return half if self.low == -self.high else 2 * half


ABOVE = Expectation("above", 0.0, math.inf)


def not_below(margin: float) -> Expectation:
    """Return the range of non-inferiority: not below by more than a share of the compared row's mean."""
    return Expectation("not below", -margin, math.inf)


def same(margin: float) -> Expectation:
    """Return the range of equivalence: within a share of the compared row's mean."""
    return Expectation("no difference", -margin, margin)


def slightly(most: float) -> Expectation:
    """Return the range above 0 and below a share of the compared row's mean."""
    return Expectation("slightly above", 0.0, most)


class Measured(NamedTuple):
    """A measured difference, and the mean of the row that is compared with."""

    difference: Difference
    level: float


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict and its two-sided p, alone and after Holm's correction over all claims."""

    verdict: str
    p: float
    p_holm: float


def judge(
    found: Mapping[str, tuple[Expectation, Sequence[Measured]]], confounded: Collection[str] = ()
) -> dict[str, Verdict]:
    """Return the verdict on each claim.

    A claim is supported where every true difference is inside its range: every bound has a one-sided test, all must
    succeed, and so the largest p counts (intersection-union, Berger 1982; with two bounds this is equivalence by two
    one-sided tests, Schuirmann 1987; with one bound below 0 it is non-inferiority). A claim is contradicted where one
    difference is beyond a bound, with Bonferroni's correction over the bounds. The smaller p of the two is doubled, and
    Holm's correction is over all claims.

    Args:
        found: By claim, its range and the measured differences, one or more, that must all lie in it.
        confounded: The claims of which a row stands on a public start: what is decided of them is `CONFOUNDED`.
    """
    sides = {name: _sides(*one) for name, one in found.items()}
    ps = {name: min(1.0, 2 * min(inside, beyond)) for name, (inside, beyond) in sides.items()}
    corrected = holm(ps)

    def decided(name: str) -> str:
        inside, beyond = sides[name]
        if corrected[name] >= ALPHA:
            return UNDECIDED
        if name in confounded:
            return CONFOUNDED
        return SUPPORTED if inside < beyond else CONTRADICTED

    return {name: Verdict(decided(name), ps[name], corrected[name]) for name in sides}


def _sides(expected: Expectation, measured: Sequence[Measured]) -> tuple[float, float]:
    """Return the one-sided p of all differences being inside the range, and that of one of them being beyond it."""
    inside, beyond = [], []
    for difference, level in measured:
        inside.append(difference.p_above(expected.low * level))
        beyond.append(difference.p_below(expected.low * level))
        if math.isfinite(expected.high):
            inside.append(difference.p_below(expected.high * level))
            beyond.append(difference.p_above(expected.high * level))
    return max(inside), min(1.0, len(beyond) * min(beyond))
