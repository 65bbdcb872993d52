"""How far two scorers of the same lists of passages agree."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Alike(NamedTuple):
    """Of two scorers: the lists with at least two passages that both scored, and what they make of them."""

    lists: int
    pairs: int
    """Passages in all of these lists."""
    kendall: float
    """Kendall's tau-b within a list, a mean over lists; NaN where all of a scorer's scores are equal in every list."""
    first: float
    """Share of the lists of which both have the same passage first."""
    error: float
    """Root mean square difference of scores over all pairs, the mean of each list taken off both: what a softmax over
    the list sees."""


def alike(lists: Iterable[tuple[np.ndarray, np.ndarray]]) -> Alike | None:
    """Compare two scorers by their scores, (n,) each, of the n passages of each list; None without a list of two."""
    from scipy.stats import kendalltau  # here, for scipy.stats takes a second to import

    taus: list[float] = []
    found = pairs = same = 0
    squares = 0.0
    for one, other in lists:
        if len(one) < 2:
            continue
        a, b = (np.asarray(scores, dtype=np.float64) for scores in (one, other))
        taus.append(float(kendalltau(a, b).statistic))
        same += int(a.argmax() == b.argmax())
        squares += float((((a - a.mean()) - (b - b.mean())) ** 2).sum())
        found, pairs = found + 1, pairs + len(a)
    if not found:
        return None
    known = [tau for tau in taus if not math.isnan(tau)]
    return Alike(found, pairs, float(np.mean(known)) if known else math.nan, same / found, math.sqrt(squares / pairs))
