"""How much there is of a collection: counted where it is tokenised, stated for the paper's before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simlm.costs.arithmetic import Lengths
from simlm.data.catalogue import CATALOGUE, IRDS, MSMARCO, BuiltIn
from simlm.stages.data import Prepare
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of

LONGEST = 512
BLOCK = 1 << 20
Shares = npt.NDArray[np.float64]
"""(LONGEST + 1,): the share of the texts that have so many tokens, special tokens included."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of passages and of each split's queries, and how long both are."""

    passages: int
    queries: Mapping[str, int]
    passage_shares: Shares
    query_shares: Shares
    counted: bool
    """Whether all this was counted, or is stated below."""
    download_bytes: float = 0.0
    """Of its files, where it is downloaded."""

    def count(self, splits: Iterable[str]) -> int:
        """The queries of some splits together; none of those of which nothing is known."""
        return sum(self.queries.get(split, 0) for split in splits)

    def passage(self, longest: int) -> Lengths:
        """Of passages cut at so many tokens."""
        return _cut(self.passage_shares, longest)

    def query(self, longest: int) -> Lengths:
        """Of queries cut at so many tokens."""
        return _cut(self.query_shares, longest)

    def pair(self, longest: int) -> Lengths:
        """Of a query and a passage in one input; lengths of both are taken for independent, and cut in the mean."""
        query, passage = self.query(longest), self.passage(longest)
        mean = min(query.mean + passage.mean - 1, longest)
        spread = query.square - query.mean**2 + passage.square - passage.mean**2
        return Lengths(mean, min(mean**2 + spread, longest**2))


def log_normal(middle: float, spread: float) -> Shares:
    """Lengths whose logarithm is normal around that of ``middle``, as in `benchmarks.passages`."""
    counts = np.arange(1, LONGEST + 1)
    density = np.exp(-((np.log(counts / middle) / spread) ** 2) / 2) / counts
    return np.concatenate([[0.0], density / density.sum()])


QUERIES = log_normal(8.5, 0.35)
ARCHIVE_BYTES = 1e8
"""A folder of SimLM's released archives is MS MARCO's whole, unless it is smaller than this."""


def sizes_of(data: Prepare) -> Sizes | None:
    """What a finished stage counted, or else what is stated for the collection of that name; None for any other."""
    job = job_of(data)
    if read_manifest(job) is not None:
        return _counted(job)
    if data.whole is not None:
        whole = sizes_of(data.whole)
        return whole and Sizes(
            whole.passages // 2,
            {split: count // 2 for split, count in whole.queries.items()},
            whole.passage_shares,
            whole.query_shares,
            False,
        )
    if data.collection == MSMARCO.layout:
        whole_archive = sum(path.stat().st_size for path in Path(data.location).rglob("*")) > ARCHIVE_BYTES
        return replace(stated(MSMARCO), download_bytes=0.0) if whole_archive else None
    name = data.collection.removeprefix(IRDS).partition(",")[0]
    known = CATALOGUE.get(name) or next((one for one in CATALOGUE.values() if one.download_folder == name), None)
    return None if known is None else stated(known)


def stated(known: BuiltIn) -> Sizes:
    """Return what a built-in collection's record says of it."""
    shares = log_normal(known.lengths.median, known.lengths.spread)
    return Sizes(known.passages, known.queries, shares, QUERIES, counted=False, download_bytes=known.download_bytes)


@cache
def _counted(job: Path) -> Sizes:
    from simlm.data.store import TokenisedCollection

    store = TokenisedCollection.open(job / "output" / "store")
    queries = {split: store.queries(split) for split in store.splits}
    passages = store.passages
    specials = 3 if passages.has_titles else 2
    return Sizes(
        len(passages),
        {split: len(one) for split, one in queries.items()},
        _shares([passages.lengths], specials),
        _shares([one.lengths for one in queries.values()], 2),
        True,
    )


def _shares(lengths: Iterable[npt.NDArray[np.int32]], specials: int) -> Shares:
    counts = np.zeros(LONGEST + 1)
    for one in lengths:
        for start in range(0, len(one), BLOCK):
            block = np.minimum(one[start : start + BLOCK] + specials, LONGEST)
            counts += np.bincount(block, minlength=LONGEST + 1)
    return counts / max(1.0, counts.sum())


def _cut(shares: Shares, longest: int) -> Lengths:
    counts = np.minimum(np.arange(LONGEST + 1), longest)
    return Lengths(float(shares @ counts), float(shares @ counts**2))
