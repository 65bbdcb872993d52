"""Re-ranking the top of a run (Section 3.2; Section 4.1: the retriever's top 200)."""

from collections.abc import Callable

import numpy as np

from simlm.retrieval.runs import PADDING, Run, strictly_decreasing

ScorePairs = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Places of queries in the run, int64 (N), and passage indices, int64 (N), to scores, float32 (N)."""


def rerank(run: Run, depth: int, score_pairs: ScorePairs) -> Run:
    """Order the first ``depth`` places of a run anew; the rest stays unchanged behind them.

    The sort is stable: equal new scores keep the retriever's order. R@k for k beyond ``depth`` stays the retriever's.
    The scores are the new ones, and for the rest the retriever's, lowered where needed to be strictly decreasing, so
    that writing the run keeps its order.

    Args:
        run: the retriever's.
        depth: places that are scored (200 in Section 4.1).
        score_pairs: called once, so that it can sort all pairs by length.

    Raises:
        ValueError: when ``score_pairs`` gives NaN or infinity.
    """
    depth = min(depth, run.depth)
    head = run.indices[:, :depth]
    rows, columns = np.nonzero(head != PADDING)
    found = np.asarray(score_pairs(rows, head[rows, columns]), dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("the re-ranker gave NaN or infinite scores")
    new = np.full(head.shape, -np.inf, dtype=np.float32)
    new[rows, columns] = found
    order = np.argsort(-new, axis=1, kind="stable")  # padding stays last
    indices = np.concatenate([np.take_along_axis(head, order, axis=1), run.indices[:, depth:]], axis=1)
    scores = np.concatenate([np.take_along_axis(new, order, axis=1), run.scores[:, depth:]], axis=1)
    scores = np.where(indices == PADDING, np.float32(-np.inf), strictly_decreasing(scores))
    return Run(run.query_ids, indices, scores)
