"""Training lists where passages that contain an answer are no negatives: Natural Questions' procedure.

As the released scripts make and read a set from a run: the labelled passages come first, with a score above that of any
run; of the run, passages that contain an answer are positives too, and the rest negatives, shuffled and without random
ones; questions that lack either are dropped. Of the positives the first is trained on, those that score no less
than it, and those that score above every negative.

Where the paper and what is known of the scripts leave it open: a question without a labelled passage keeps its best
answering one as the first; a list that is shorter than a window shows its passages again; BM25's run is treated as a
retriever's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from simlm.errors import UserError
from simlm.finetuning.negatives import Indices, NegativeLists
from simlm.retrieval.runs import PADDING, Run

LABELLED_SCORE = 1000.0
"""What a labelled passage counts as having scored: more than BM25 or an inner product of unit vectors gives."""


def answered_lists(
    run: Run, answering: npt.NDArray[np.bool_], labelled: Callable[[int], Indices], total: int
) -> NegativeLists:
    """Build lists from the first ``total`` places of a run over all queries of a split, in the store's order.

    Negatives stand in the order of the run: `shuffled` comes next.

    Args:
        run: the ranked passages, (Q, k).
        answering: bool (Q, k), whether the passage at a place contains an answer.
        labelled: returns the passages that were marked as the source of a query's answer, given the query's index.
        total: places of a query that count, and the length of its negatives.

    Raises:
        UserError: when no query has both positives and negatives.
    """
    queries, positives, negatives = [], [], []
    for query, (passages, scores, hits) in enumerate(
        zip(run.indices[:, :total], run.scores[:, :total], answering[:, :total], strict=True)
    ):
        found = _sides(passages, scores, hits, np.asarray(labelled(query), dtype=np.int64))
        if found is None:
            continue
        queries.append(query)
        positives.append(found[0])
        negatives.append(np.pad(found[1], (0, total - len(found[1])), constant_values=PADDING))
    if not queries:
        raise UserError("training lists: no query has both a passage with an answer and one without; use another run")
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in positives])]).astype(np.int64)
    return NegativeLists(
        np.array(queries, dtype=np.int64), offsets, np.concatenate(positives), np.stack(negatives).astype(np.int64)
    )


def _sides(
    passages: Indices, scores: npt.NDArray[np.float32], hits: npt.NDArray[np.bool_], labelled: Indices
) -> tuple[Indices, Indices] | None:
    """Return a query's positives that are kept, and its negatives, from its places in a run.

    None if it lacks either.
    """
    filled = passages != PADDING
    known = np.isin(passages, labelled)
    others, rest = filled & hits & ~known, filled & ~hits & ~known
    positives = np.concatenate([labelled, passages[others]])
    if not len(positives) or not rest.any():
        return None
    worth = np.concatenate([np.full(len(labelled), LABELLED_SCORE), scores[others]])
    kept = (worth >= worth[0]) | (worth > scores[rest].max())
    return positives[kept], passages[rest]


def shuffled(lists: NegativeLists, seed: int) -> NegativeLists:
    """Return lists of different queries with the negatives of each in another order, keyed by seed and query."""
    negatives = np.array(lists.negatives)
    for query, row in zip(lists.queries.tolist(), negatives, strict=True):
        length = int((row != PADDING).sum())
        row[:length] = np.random.default_rng([seed, query]).permutation(row[:length])
    return replace(lists, negatives=negatives)


def concatenated(sets: Sequence[NegativeLists]) -> NegativeLists:
    """Join the lists of several sets over the same queries: a query's own are neighbours, in the order of the sets."""
    width = max(one.total for one in sets)
    queries = np.concatenate([one.queries for one in sets])
    order = np.argsort(queries, kind="stable")
    positives = [one.positives_of(j) for one in sets for j in range(len(one))]
    counts = np.array([len(row) for row in positives], dtype=np.int64)[order]
    return NegativeLists(
        queries=queries[order],
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        positives=np.concatenate([positives[row] for row in order.tolist()]),
        negatives=np.concatenate(
            [np.pad(one.negatives, ((0, 0), (0, width - one.total)), constant_values=PADDING) for one in sets]
        )[order],
    )
