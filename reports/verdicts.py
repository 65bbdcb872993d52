"""What becomes of the paper's claims: where a true difference should lie, and whether the measured one tells.

How wide "no difference" is must come from the paper: a margin wider than the effects that it reports would call them
none. So a margin is at most half of a gap that the paper itself calls a difference, and "slightly" is at most what the
paper shows where it says so; `repro.paper_claims` takes both from its tables. What such margins leave open is
undecided.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.model import ALPHA
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
    """Where a claim puts the true difference: between `low` and `high`, shares of the compared row's mean."""

    words: str
    low: float
    high: float

    def within(self, level: float) -> str:
        """The range in units of the measure, for a row that is compared with whose mean is ``level``."""
        low, high = self.low * level, self.high * level
        if not math.isfinite(high):
            return f"above {low:+.4f}" if low else "above 0"
        return f"within ±{high:.4f}" if low == -high else f"between {low:.4f} and {high:+.4f}"

    def provable(self, difference: Difference, alpha: float, power: float = POWER) -> float:
        """The smallest of what the run could have shown with this power at ``alpha``, two-sided; NaN for no estimate.

        An effect, where the claim is of an order. Otherwise a margin: of non-inferiority or equivalence, if the rows
        are truly equal; of "slightly", if the true difference lies in the middle of the range.
        """
        if not math.isfinite(self.high):
            # From 0 up to an effect, or from a margin up to 0: the same distance.
            return difference.detectable(alpha, power)
        # Both tests must succeed: each may fail half as often.
        half = difference.detectable(alpha, (1 + power) / 2)
        return half if self.low == -self.high else 2 * half


ABOVE = Expectation("above", 0.0, math.inf)


def not_below(margin: float) -> Expectation:
    """Non-inferiority by a share of the compared row's mean."""
    return Expectation("not below", -margin, math.inf)


def same(margin: float) -> Expectation:
    """Equivalence within a share of the compared row's mean."""
    return Expectation("no difference", -margin, margin)


def slightly(most: float) -> Expectation:
    """Above, and by less than a share of the compared row's mean."""
    return Expectation("slightly above", 0.0, most)


class Measured(NamedTuple):
    """A measured difference, and the mean of the row that is compared with."""

    difference: Difference
    level: float


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict with its two-sided p, alone and Holm-corrected over all claims."""

    verdict: str
    p: float
    p_holm: float


def judge(found: Mapping[str, tuple[Expectation, Sequence[Measured]]]) -> dict[str, Verdict]:
    """Verdicts by claim, of an expectation and the measured differences that all have to meet it, one or more.

    A claim is supported where every true difference is inside its range: every bound has a one-sided test, and all must
    hold, so that the largest p counts (intersection-union, Berger 1982; two bounds of one difference: equivalence by
    two one-sided tests, Schuirmann 1987; one below 0: non-inferiority). It is contradicted where a difference is beyond
    a bound, Bonferroni over the bounds. The smaller of both p, doubled, goes through Holm's correction over all claims.
    """
    sides = {name: _sides(*one) for name, one in found.items()}
    ps = {name: min(1.0, 2 * min(inside, beyond)) for name, (inside, beyond) in sides.items()}
    corrected = holm(ps)
    return {
        name: Verdict(
            UNDECIDED if corrected[name] >= ALPHA else SUPPORTED if inside < beyond else CONTRADICTED,
            ps[name],
            corrected[name],
        )
        for name, (inside, beyond) in sides.items()
    }


def _sides(expected: Expectation, measured: Sequence[Measured]) -> tuple[float, float]:
    """One-sided p of all differences inside the range, and of one of them beyond it."""
    inside, beyond = [], []
    for difference, level in measured:
        inside.append(difference.p_above(expected.low * level))
        beyond.append(difference.p_below(expected.low * level))
        if math.isfinite(expected.high):
            inside.append(difference.p_below(expected.high * level))
            beyond.append(difference.p_above(expected.high * level))
    return max(inside), min(1.0, len(beyond) * min(beyond))
