"""How far two runs of one experiment agree, by repro-eval (Breuer et al., SIGIR 2020), and two scorers of one list."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from simlm.evaluation.significance import Improvement, effect_ratio

DEPTH = 100
"""Places of a ranking that are compared."""
PERSISTENCE = 0.95
"""RBO's p: a reader goes on from a place to the next with this probability."""

Rankings = Mapping[str, list[str]]
"""Passage ids by query, best first."""


class Agreement(NamedTuple):
    """Means over the queries that both have: 1 is the same order, and an error of 0 the same measures."""

    queries: int
    kendall: float
    """Kendall's tau of the union."""
    overlap: float
    """Rank-biased overlap."""
    error: dict[str, float]
    """Root mean square error by measure."""
    theirs: pd.DataFrame
    """The one run's values by query id and measure, of the queries that both have."""
    ours: pd.DataFrame
    """The other's."""


def agreement(
    theirs: Rankings, ours: Rankings, measure: Callable[[Rankings], pd.DataFrame], depth: int = DEPTH
) -> Agreement:
    """Compare the first ``depth`` places of two runs; ``measure`` gives a run's values by query id and measure.

    Of a query, both are cut at the shorter one's end, which Kendall's tau needs; where that leaves a single place, it
    says nothing and is left out of the mean. ValueError where the runs have no query in common.
    """
    from repro_eval.measure.document_order import KTU, RBO
    from repro_eval.measure.effectiveness import RMSE

    shared = [query for query in theirs if query in ours]
    if not shared:
        raise ValueError("the two runs have no query in common")
    cut = {query: min(len(theirs[query]), len(ours[query]), depth) for query in shared}
    one, other = (_scored({query: run[query][: cut[query]] for query in shared}) for run in (theirs, ours))
    several = [query for query in shared if cut[query] > 1]
    taus = KTU(
        {query: one[query] for query in several}, {query: other[query] for query in several}, depth, per_topic=True
    )
    # Beyond the end of a ranking repro-eval counts nothing as shared: each query has its own depth.
    overlaps = [
        RBO({query: one[query]}, {query: other[query]}, PERSISTENCE, cut[query], False, False) for query in shared
    ]
    values = [measure({query: run[query] for query in shared}) for run in (theirs, ours)]
    return Agreement(
        len(shared),
        float(np.mean(list(taus.values()))) if taus else float("nan"),
        float(np.mean(overlaps)),
        {name: float(value) for name, value in RMSE(*(frame.T.to_dict() for frame in values)).items()},
        *values,
    )


class EffectRatios(NamedTuple):
    """How large an improvement of ours is beside theirs, by measure, over the queries that all four runs have.

    1 is their effect, above 1 a larger one, below 0 the opposite; None where theirs is 0.
    """

    queries: int
    ratio: dict[str, float | None]


def effect_ratios(baseline: Agreement, advanced: Agreement) -> EffectRatios:
    """Return the effect ratios of ``advanced`` over ``baseline``, each of which compares our run with theirs.

    ValueError where the four runs have no query in common.
    """
    shared = baseline.theirs.index.intersection(advanced.theirs.index)
    if shared.empty:
        raise ValueError("the four runs have no query in common")

    def improvement(side: str, name: str) -> Improvement:
        return Improvement(*(float(getattr(one, side).loc[shared, name].mean()) for one in (baseline, advanced)))

    names = [str(name) for name in baseline.theirs.columns if name in advanced.theirs.columns]
    return EffectRatios(
        len(shared), {name: effect_ratio(improvement("theirs", name), improvement("ours", name)) for name in names}
    )


def _scored(run: Rankings) -> dict[str, dict[str, float]]:
    """Give ranked passages scores that keep their order."""
    return {query: {id: float(-place) for place, id in enumerate(ids)} for query, ids in run.items()}


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
