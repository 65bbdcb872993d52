"""Two runs fused by a convex combination of their normalised scores.

S. Bruch, S. Gai, A. Ingber: An Analysis of Fusion Functions for Hybrid Retrieval. ACM TOIS 42(1), 2023.
They find it better than reciprocal rank fusion, whatever the scaling (here min-max), and its one parameter
learnt from few queries. SimLM's paper has no such row; readers of BM25 beside a dense retriever expect one.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ir_measures import RR

from simlm.evaluation.measures import counted_from, evaluate
from simlm.retrieval.runs import PADDING, IdLookup, Run, rank, write_run


class Trial(NamedTuple):
    """A weight of the first run and RR@10 on the queries it was tried on."""

    weight: float
    rr_at_10: float


def fuse(first: Run, second: Run, weight: float, k: int) -> Run:
    """Return the k best passages by weight x first + (1 - weight) x second.

    Each run's scores are scaled to [0, 1] a query (all equal: 1); a passage that a run lacks gets 0 from
    it. Equal fused scores go by passage index. ValueError for runs over different queries or a weight outside [0, 1].
    """
    if first.query_ids != second.query_ids:
        raise ValueError("fused runs must be over the same queries in the same order")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight {weight} lies outside [0, 1]")
    indices = np.full((len(first.query_ids), k), PADDING, dtype=np.int64)
    scores = np.full((len(first.query_ids), k), -np.inf, dtype=np.float32)
    parts = ((first, weight, scaled(first)), (second, 1 - weight, scaled(second)))
    for row in range(len(first.query_ids)):
        filled = [run.indices[row] != PADDING for run, _, _ in parts]
        named = np.concatenate([run.indices[row][keep] for (run, _, _), keep in zip(parts, filled, strict=True)])
        weighted = [share * values[row][keep] for (_, share, values), keep in zip(parts, filled, strict=True)]
        passages, places = np.unique(named, return_inverse=True)
        if not len(passages):
            continue
        sums = np.bincount(places, weights=np.concatenate(weighted)).astype(np.float32)
        best, best_scores = rank(passages, sums)
        count = min(k, len(best))
        indices[row, :count], scores[row, :count] = best[:count], best_scores[:count]
    return Run(first.query_ids, indices, scores)


def scaled(run: Run) -> np.ndarray:
    """Return a run's scores, float64 (Q, k), scaled to [0, 1] a query; 0 in the places left empty."""
    empty = run.indices == PADDING
    scores = run.scores.astype(np.float64)
    low = np.where(empty, np.inf, scores).min(axis=1, initial=np.inf, keepdims=True)
    high = np.where(empty, -np.inf, scores).max(axis=1, initial=-np.inf, keepdims=True)
    spread = np.maximum(high - low, 0.0)  # -inf for a query without a passage
    flat = spread == 0
    values = np.where(empty, 0.0, scores - np.where(flat, 0.0, low)) / np.where(flat, 1.0, spread)
    return np.where(empty, 0.0, np.where(flat, 1.0, values))


def tune(
    first: Run,
    second: Run,
    passage_ids: IdLookup,
    qrels: Mapping[str, Mapping[str, int]],
    weights: Iterable[float],
    grade: int = 1,
) -> list[Trial]:
    """Try the weights on queries of the validation split; return the trials in the weights' order.

    ``grade`` is the smallest that counts as relevant.
    """
    measure = counted_from(RR @ 10, grade)
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trial.run"
        for weight in weights:
            write_run(path, fuse(first, second, weight, k=10), passage_ids, "fusion")
            trials.append(Trial(weight, float(evaluate(path, qrels, [measure]).iloc[:, 0].mean())))
    return trials
