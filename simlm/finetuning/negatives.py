"""Hard negatives: which passages a query trains against, and which of them in which epoch (Section 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simlm.data.store import TokenisedCollection
from simlm.errors import UserError
from simlm.retrieval.runs import PADDING, Run
from simlm.scales.settings import NegativesSettings

Indices = npt.NDArray[np.int64]
_FILES = ("queries", "offsets", "positives", "negatives")


class IdLookup(Protocol):
    """Gives names their places in a store, as `simlm.data.ids.IdTable` does."""

    def indices(self, ids: Sequence[str], /) -> Indices:
        """Return the places (n,) of names (n,); KeyError for the first that is not there."""


class Positives(Protocol):
    """Knows the relevant passages of a split's queries, as `simlm.data.store.Qrels` does."""

    def positives(self, query_index: int, /) -> np.ndarray:
        """Return the indices of the passages that are relevant to a query; empty when there are none."""


@dataclass(frozen=True, eq=False)
class NegativeLists:
    """Positives and negatives of m queries, as indices into the stores.

    Attributes:
        queries: int64 (m), increasing indices of the queries that have a list; the lists of one that has several are
            neighbours (`simlm.finetuning.answered`).
        offsets: int64 (m + 1); list j has positives[offsets[j] : offsets[j + 1]], at least one.
        positives: int64, flat.
        negatives: int64 (m, total), in their final order; a shorter list, never an empty one, ends in `PADDING`.
        folder: where opened lists are mapped from; None for lists in memory.
    """

    queries: Indices
    offsets: Indices
    positives: Indices
    negatives: Indices
    folder: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned worker maps the files again instead of receiving their content.
        if self.folder is not None:
            return NegativeLists.open, (self.folder,)
        return NegativeLists, (self.queries, self.offsets, self.positives, self.negatives)

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def total(self) -> int:
        """The number of negatives of the longest list."""
        return int(self.negatives.shape[1])

    def positives_of(self, j: int) -> Indices:
        """Return the positives of list j (0 <= j < m)."""
        return np.asarray(self.positives[self.offsets[j] : self.offsets[j + 1]])

    def group(self, j: int, epoch: int, seed: int, n: int) -> Indices:
        """Return the n passages of list j in an epoch (0-based), positive first.

        The positive is number (epoch + seed) mod count; the negatives are the window of n - 1 that starts at
        (epoch + seed)(n - 1) and wraps around, more than once in a shorter list. Raises UserError when n - 1 exceeds
        the longest one.
        """
        positives = self.positives_of(j)
        group = np.empty(n, dtype=np.int64)
        group[0] = positives[(epoch + seed) % len(positives)]
        group[1:] = self._windows(slice(j, j + 1), epoch, seed, n)[0]
        return group

    def drawn(self, epochs: int, seed: int, n: int, start: int = 0, stop: int | None = None) -> tuple[Indices, Indices]:
        """Return the (query, passage) pairs that lists start <= j < stop draw in the first ``epochs`` epochs.

        They are two int64 arrays of unique pairs, sorted by query and then passage: exactly the pairs of `group`.
        Ranges of lists come in order, so a large collection takes them block by block (`blocks`).
        """
        block = slice(start, len(self) if stop is None else min(stop, len(self)))
        offsets = np.asarray(self.offsets[block])
        counts = np.asarray(self.offsets[1:][block]) - offsets
        passages = []
        for epoch in range(epochs):
            passages.append(np.asarray(self.positives[offsets + (epoch + seed) % counts])[:, None])
            passages.append(self._windows(block, epoch, seed, n))
        table = np.concatenate(passages, axis=1)  # with repetitions
        pairs = np.stack([np.repeat(self.queries[block], table.shape[1]), table.ravel()])
        pairs = pairs[:, np.lexsort(pairs[::-1])]
        first = np.ones(pairs.shape[1], dtype=bool)
        first[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
        return pairs[0, first], pairs[1, first]

    def blocks(self, size: int) -> list[tuple[int, int]]:
        """Return ranges (start, stop) of about ``size`` lists that together are all; none separates a query's lists."""
        starts: list[int] = np.unique(np.searchsorted(self.queries, self.queries[::size])).tolist()
        return list(zip(starts, [*starts[1:], len(self)], strict=True))

    def _windows(self, block: slice, epoch: int, seed: int, n: int) -> Indices:
        """Return the negatives (lists of the block, n - 1) that the windows of an epoch show."""
        if not 2 <= n <= self.total + 1:
            raise UserError(
                f"{n} passages a query (positive included) do not fit lists of {self.total} negatives: "
                f"choose from 2 to {self.total + 1}, or build longer lists"
            )
        rows = np.asarray(self.negatives[block])
        lengths = (rows != PADDING).sum(axis=1, keepdims=True)
        places = (epoch + seed) * (n - 1) + np.arange(n - 1, dtype=np.int64)
        return np.take_along_axis(rows, places % lengths, axis=1)

    def first(self, count: int) -> "NegativeLists":
        """Return the first ``count`` lists."""
        count = min(count, len(self))
        end = int(self.offsets[count])
        return NegativeLists(
            self.queries[:count], self.offsets[: count + 1], self.positives[:end], self.negatives[:count]
        )

    def save(self, folder: Path) -> None:
        """Write the four arrays as .npy files into a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> "NegativeLists":
        """Memory-map the lists of a folder; UserError when it does not hold any."""
        arrays = {name: open_array(folder / f"{name}.npy", "negative lists") for name in _FILES}
        return cls(**arrays, folder=folder)


def open_array(path: Path, what: str) -> np.ndarray:
    """Memory-map one .npy file; UserError, naming the file, when it is missing or damaged."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged {what} ({error}); delete the folder and build it anew") from None
    return array.view(np.ndarray)  # indexing a np.memmap costs several times as much


def lists_of_split(
    run: Run, collection: TokenisedCollection, split: str, settings: NegativesSettings, seed: int
) -> NegativeLists:
    """Build the negative lists of a split from a run over all of its queries, in the store's order.

    They are made alike for train and valid, and from BM25's runs and a retriever's (Section 3.2). Where a run
    has nothing for any query of valid, as BM25's where no word is shared, the lists are random passages alone: what
    trains on such a run is logged on them, and chooses no checkpoint by them. UserError where that is so of train.
    """
    if found_nothing(run) and split == "train":
        raise UserError(
            "hard negatives: the run has no passage for any train query, as where queries and passages share no word; "
            "nothing can be trained on it. Take --negatives package where the collection has lists, or other queries"
        )
    # Runs of valid are deep enough for evaluation: lists of both splits see as many places as a list is long.
    top = Run(run.query_ids, run.indices[:, : settings.total], run.scores[:, : settings.total])
    return build_negative_lists(
        top,
        collection.queries(split).ids,
        collection.qrels(split),
        len(collection.passages),
        settings.depth,
        settings.total,
        seed,
        own=collection.own_passages(split),
        unranked=found_nothing(run),
    )


def found_nothing(run: Run) -> bool:
    """Return whether a run has no passage for any query."""
    return bool((run.indices[:, :1] == PADDING).all())


def build_negative_lists(
    run: Run,
    query_ids: IdLookup,
    qrels: Positives,
    passages: int,
    depth: int,
    total: int,
    seed: int,
    own: Indices | None = None,
    unranked: bool = False,
) -> NegativeLists:
    """Build negative lists from a run over some or all queries of a split.

    A query's negatives are the first ``depth`` of the run without its positives, shuffled, then random passages that
    are neither positive nor in the run up to exactly ``total``, all shuffled again. Queries without a run or without a
    positive are dropped. Each query's draws come from a generator of its own, keyed by (seed, query index), whatever
    else is built.

    Args:
        run: the ranked passages.
        query_ids: the split's queries.
        qrels: their positives.
        passages: how many passages the collection has.
        depth: places of the run that become hard negatives (200 at paper scale).
        total: length of a list (210 at paper scale).
        seed: keys the draws.
        own: of each query of the split the passage that is the query itself, which is no negative (Q,); -1 for none.
        unranked: whether queries without a run are kept, with random passages alone.

    Raises:
        UserError: if the collection is too small for ``total``, or for a query of the run that is not in the split.
    """
    if not 0 < depth <= total:
        raise UserError(f"hard negatives: depth {depth} must be from 1 to the total of {total}")
    try:
        indices = query_ids.indices(run.query_ids)
    except KeyError as error:
        raise UserError(f"hard negatives: query {error} is not in the collection; use a run made from it") from None
    built: dict[int, tuple[Indices, Indices]] = {}
    for query, row in zip(indices.tolist(), run.indices, strict=True):
        ranked, positives = row[row != PADDING], np.asarray(qrels.positives(query), dtype=np.int64)
        if (unranked or len(ranked)) and len(positives):
            never = positives if own is None or own[query] == PADDING else np.append(positives, own[query])
            built[query] = positives, _negatives(query, ranked, never, passages, depth, total, seed)
    queries = sorted(built)
    return _lists({query: built[query][0] for query in queries}, [built[query][1] for query in queries])


def ready_lists(run: Run, qrels: Positives) -> NegativeLists:
    """Return the collection's own lists of negatives, unchanged and in their order; UserError if no query has one.

    ``run`` is over all queries of a split, in the store's order; a query without a list or a positive is dropped.
    """
    positives = {
        query: found
        for query in np.flatnonzero((run.indices != PADDING).any(axis=1)).tolist()
        if len(found := np.asarray(qrels.positives(query), dtype=np.int64))
    }
    return _lists(positives, run.indices[list(positives)])


def _lists(positives: Mapping[int, Indices], negatives: Sequence[Indices] | Indices) -> NegativeLists:
    """Put the positives of queries, which increase, and their negatives, m of (total,), together."""
    if not positives:
        raise UserError("hard negatives: no query has both a run and a relevant passage; use another run")
    return NegativeLists(
        queries=np.array(list(positives), dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in positives.values()])]).astype(np.int64),
        positives=np.concatenate(list(positives.values())),
        negatives=np.asarray(negatives),
    )


def _negatives(
    query: int, ranked: Indices, never: Indices, passages: int, depth: int, total: int, seed: int
) -> Indices:
    generator = np.random.default_rng([seed, query])
    hard = ranked[~np.isin(ranked, never)]
    hard = hard[np.sort(np.unique(hard, return_index=True)[1])][:depth]  # a list may repeat a passage
    hard = generator.permutation(hard)
    excluded = np.union1d(ranked, never)
    missing = total - len(hard)
    if passages - len(excluded) < missing:
        raise UserError(
            f"hard negatives: query number {query} needs {missing} random passages for a total of {total}, "
            f"but only {passages - len(excluded)} of {passages} are neither relevant nor in its run; "
            "add passages or remove the query"
        )
    # Distinct ranks among the allowed passages; the r-th allowed one lies behind every excluded one with
    # excluded[k] - k <= r.
    ranks = generator.choice(passages - len(excluded), missing, replace=False)
    random = ranks + np.searchsorted(excluded - np.arange(len(excluded)), ranks, side="right")
    return generator.permutation(np.concatenate([hard, random]))
