"""What becomes of the paper's claims: where a true difference should lie, and whether the measured one tells."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reports.model import ALPHA
from simlm.evaluation.crossed import Difference
from simlm.evaluation.significance import holm

MARGIN = 0.05
"""What counts as no difference, as a share of the mean of the row that is compared with."""

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


ABOVE = Expectation("above", 0.0, math.inf)
NOT_BELOW = Expectation("not below", -MARGIN, math.inf)
SAME = Expectation("no difference", -MARGIN, MARGIN)
SLIGHTLY = Expectation("slightly above", 0.0, MARGIN)


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict with its two-sided p, alone and Holm-corrected over all claims."""

    verdict: str
    p: float
    p_holm: float


def judge(found: Mapping[str, tuple[Expectation, Difference, float]]) -> dict[str, Verdict]:
    """Verdicts by claim, of (expectation, measured difference, mean of the row that is compared with) each.

    A claim is supported where the true difference is inside its range: every bound has a one-sided test, and all must
    hold (two bounds: equivalence by two one-sided tests, Schuirmann 1987; one below 0: non-inferiority). It is
    contradicted where the difference is beyond a bound, Bonferroni over two. The smaller of both p, doubled, goes
    through Holm's correction over all claims.
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


def _sides(expected: Expectation, difference: Difference, level: float) -> tuple[float, float]:
    """One-sided p of a difference inside the range, and of one beyond it."""
    inside = [difference.p_above(expected.low * level)]
    beyond = [difference.p_below(expected.low * level)]
    if math.isfinite(expected.high):
        inside.append(difference.p_below(expected.high * level))
        beyond.append(difference.p_above(expected.high * level))
    return max(inside), min(1.0, len(beyond) * min(beyond))
