"""Hard negatives: which passages a query trains against, and which of them in which epoch (Section 3.2)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simlm.errors import UserError
from simlm.retrieval.runs import PADDING, Run

Indices = npt.NDArray[np.int64]
_FILES = ("queries", "offsets", "positives", "negatives")


class IdLookup(Protocol):
    """From a name to its place in a store (`simlm.data.store.IdTable` is one)."""

    def indices(self, ids: Sequence[str], /) -> Indices:
        """Places (n,) of names (n,); KeyError for the first that is not there."""


class Positives(Protocol):
    """The relevant passages of a split's queries (`simlm.data.store.Qrels` is one)."""

    def positives(self, query_index: int, /) -> np.ndarray:
        """Indices of the passages relevant to a query; empty when there are none."""


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
        """The positives of list j (0 <= j < m)."""
        return np.asarray(self.positives[self.offsets[j] : self.offsets[j + 1]])

    def group(self, j: int, epoch: int, seed: int, n: int) -> Indices:
        """The n passages of list j in an epoch (0-based), positive first.

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
        """The (query, passage) pairs that lists start <= j < stop draw in the first `epochs` epochs.

        Two int64 arrays of unique pairs, sorted by query and then passage: exactly the pairs of `group`.
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
        """Ranges (start, stop) of about `size` lists that together are all; none ends between two of one query's."""
        starts: list[int] = np.unique(np.searchsorted(self.queries, self.queries[::size])).tolist()
        return list(zip(starts, [*starts[1:], len(self)], strict=True))

    def _windows(self, block: slice, epoch: int, seed: int, n: int) -> Indices:
        """The negatives (lists of the block, n - 1) that the windows of an epoch show."""
        if not 2 <= n <= self.total + 1:
            raise UserError(
                f"{n} passages a query (positive included) do not fit lists of {self.total} negatives: "
                f"choose from 2 to {self.total + 1}, or build longer lists"
            )
        rows = np.asarray(self.negatives[block])
        lengths = (rows != PADDING).sum(axis=1, keepdims=True)
        places = (epoch + seed) * (n - 1) + np.arange(n - 1, dtype=np.int64)
        return np.take_along_axis(rows, places % lengths, axis=1)

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


def build_negative_lists(
    run: Run,
    query_ids: IdLookup,
    qrels: Positives,
    passages: int,
    depth: int = 200,
    total: int = 210,
    seed: int = 0,
) -> NegativeLists:
    """Negative lists from a run over some or all queries of a split, BM25's or a retriever's.

    query_ids: the split's queries; qrels: their positives; passages: how many the collection has. Per query:
    the first `depth` of the run without its positives, shuffled, then random passages that are neither
    positive nor in the run up to exactly `total`, all shuffled again. Queries without a run or without a
    positive are dropped. Each query's draws come from a generator of its own, keyed by (seed, query index),
    whatever else is built. Raises UserError when the collection is too small for `total`, or for a query of
    the run that is not in the split.
    """
    indices = _indices(query_ids, run.query_ids, "query")
    rows = ((query, row[row != PADDING]) for query, row in zip(indices.tolist(), run.indices, strict=True))
    return _build(rows, qrels, passages, depth, total, seed)


def build_from_lists(
    lists: Iterable[tuple[str, Sequence[str]]],
    query_ids: IdLookup,
    passage_ids: IdLookup,
    qrels: Positives,
    passages: int,
    depth: int = 200,
    total: int = 210,
    seed: int = 0,
) -> NegativeLists:
    """The same from lists of passage ids that come with a collection, in the order in which they come.

    lists: (query id, passage ids) pairs; a dict's `items()` will do. Raises UserError as
    `build_negative_lists` does, and for an unknown passage.
    """
    rows = (
        (int(_indices(query_ids, [name], "query")[0]), _indices(passage_ids, row, "passage")) for name, row in lists
    )
    return _build(rows, qrels, passages, depth, total, seed)


def _indices(ids: IdLookup, names: Sequence[str], what: str) -> Indices:
    try:
        return ids.indices(names)
    except KeyError as error:
        raise UserError(
            f"hard negatives: {what} {error} is not in the collection; use a run or lists made from it"
        ) from None


def _build(
    rows: Iterator[tuple[int, Indices]], qrels: Positives, passages: int, depth: int, total: int, seed: int
) -> NegativeLists:
    if not 0 < depth <= total:
        raise UserError(f"hard negatives: depth {depth} must be from 1 to the total of {total}")
    built: dict[int, tuple[Indices, Indices]] = {}
    for query, ranked in rows:
        positives = np.asarray(qrels.positives(query), dtype=np.int64)
        if len(ranked) and len(positives):
            built[query] = positives, _negatives(query, ranked, positives, passages, depth, total, seed)
    queries = sorted(built)
    if not queries:
        raise UserError("hard negatives: no query has both a run and a relevant passage; use another run")
    counts = [len(built[query][0]) for query in queries]
    return NegativeLists(
        queries=np.array(queries, dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        positives=np.concatenate([built[query][0] for query in queries]),
        negatives=np.stack([built[query][1] for query in queries]),
    )


def _negatives(
    query: int, ranked: Indices, positives: Indices, passages: int, depth: int, total: int, seed: int
) -> Indices:
    generator = np.random.default_rng([seed, query])
    hard = ranked[~np.isin(ranked, positives)]
    hard = hard[np.sort(np.unique(hard, return_index=True)[1])][:depth]  # a list may repeat a passage
    hard = generator.permutation(hard)
    excluded = np.union1d(ranked, positives)
    missing = total - len(hard)
    if passages - len(excluded) < missing:
        raise UserError(
            f"hard negatives: query number {query} needs {missing} random passages for a total of {total}, "
            f"but only {passages - len(excluded)} of {passages} are neither relevant nor in its run; "
            "lower the total"
        )
    # Distinct ranks among the allowed passages; the r-th allowed one lies behind every excluded one with
    # excluded[k] - k <= r.
    ranks = generator.choice(passages - len(excluded), missing, replace=False)
    random = ranks + np.searchsorted(excluded - np.arange(len(excluded)), ranks, side="right")
    return generator.permutation(np.concatenate([hard, random]))
