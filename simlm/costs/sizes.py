"""How large a collection is: counted once it is tokenised, and stated here before, for those that are known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simlm.data.catalogue import CATALOGUE, IRDS, MSMARCO, BuiltIn
from simlm.data.part import QUERIES as PART_QUERIES
from simlm.files import read_sealed, write_sealed
from simlm.scales.rehearsal import FOLDER
from simlm.stages.data import WHOLE, Prepare
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of

LONGEST = 512
JUDGED = 10
"""Judged passages of a query in a part of a collection, before they are counted."""
Shares = npt.NDArray[np.float64]
"""(LONGEST + 1,): the share of the texts that have 0, 1, ... tokens, special tokens included."""


class Unknown(Exception):
    """Nothing is known yet of a collection or of a model."""


@dataclass(frozen=True)
class Sizes:
    """Passages, queries of each split, the lengths of both, and what there is to download."""

    passages: int
    queries: Mapping[str, int]
    passage_shares: Shares
    query_shares: Shares
    download_bytes: float = 0.0

    def count(self, splits: Iterable[str]) -> int:
        """Return the number of queries of some splits together; a split that is not known has none."""
        return sum(self.queries.get(split, 0) for split in splits)

    def passage(self, longest: int = LONGEST) -> float:
        """Return the mean length of passages that are cut at `longest` tokens."""
        return _mean_length(self.passage_shares, longest)

    def query(self, longest: int) -> float:
        """Return the mean length of queries that are cut at `longest` tokens."""
        return _mean_length(self.query_shares, longest)

    def pair(self, longest: int) -> float:
        """Return the mean length of a query and a passage in one input; they share one special token."""
        return min(self.query(longest) + self.passage(longest) - 1, longest)


def log_normal(median: float, spread: float) -> Shares:
    """Return the shares of lengths whose logarithm is normal, as in `benchmarks.passages`."""
    counts = np.arange(1, LONGEST + 1)
    density = np.exp(-((np.log(counts / median) / spread) ** 2) / 2) / counts
    return np.concatenate([[0.0], density / density.sum()])


QUERIES = log_normal(8.5, 0.35)


def sizes_of(data: Prepare) -> Sizes:
    """Return what a finished stage counted, or a rehearsal of it, or else what its record states.

    Unknown for a collection of which nothing is known.
    """
    job = job_of(data)
    if read_manifest(job) is not None:
        return _counted(job)
    rehearsed = read_sealed(_note_of(job))
    if rehearsed is not None and read_manifest(part := job.parents[2] / rehearsed["part"]) is not None:
        return replace(_counted(part), **rehearsed[WHOLE])
    if data.whole is not None:
        whole = sizes_of(data.whole)
        halves = {split: count // 2 for split, count in whole.queries.items()}
        return replace(whole, passages=whole.passages // 2, queries=halves, download_bytes=0.0)
    name = data.collection.removeprefix(IRDS).partition(",")[0]
    known = CATALOGUE.get(name) or next((one for one in CATALOGUE.values() if one.download_folder == name), None)
    if known is None and not data.part:
        raise Unknown
    return _part_of(stated(known or MSMARCO), data.part) if data.part else stated(known or MSMARCO)


def note_whole(whole: Prepare, part: Prepare) -> None:
    """Keep what a finished part of a collection counted of the whole, for estimates of the stage that prepares that."""
    numbers = (read_manifest(job_of(part)) or {}).get("numbers", {})
    if WHOLE in numbers:
        path, results = _note_of(job_of(whole)), job_of(whole).parents[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, {"part": str(job_of(part).relative_to(results)), WHOLE: numbers[WHOLE]})


def _note_of(job: Path) -> Path:
    return job.parents[2] / FOLDER / "sizes" / f"{job.name}.json"


def _part_of(whole: Sizes, others: int) -> Sizes:
    """Return at most what a part of a collection has, with so many passages beside those that are judged."""
    queries = {split: min(count, PART_QUERIES) for split, count in whole.queries.items()}
    judged = JUDGED * sum(queries.values())
    return replace(whole, passages=min(whole.passages, others + judged), queries=queries)


def stated(known: BuiltIn) -> Sizes:
    """Return what a built-in collection's record says of it; the lengths of its queries are assumed here."""
    shares = log_normal(known.lengths.median, known.lengths.spread)
    return Sizes(known.passages, known.queries, shares, QUERIES, known.download_bytes)


@cache
def _counted(job: Path) -> Sizes:
    from simlm.data.store import TokenisedCollection  # ir_datasets makes folders below HOME when it is imported

    store = TokenisedCollection.open(job / "output" / "store")
    queries = {split: store.queries(split) for split in store.splits}
    passages = store.passages
    return Sizes(
        len(passages),
        {split: len(one) for split, one in queries.items()},
        _shares(passages.lengths + (3 if passages.has_titles else 2)),  # with [CLS] and each [SEP]
        _shares(np.concatenate([one.lengths for one in queries.values()]) + 2),
    )


def _shares(lengths: npt.NDArray[np.int32]) -> Shares:
    counts = np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)
    return counts / max(1, len(lengths))


def _mean_length(shares: Shares, longest: int) -> float:
    return float(shares @ np.minimum(np.arange(LONGEST + 1), longest))
