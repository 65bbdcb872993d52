"""How much there is of a collection: counted where it is tokenised, stated for the paper's before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simlm.costs.arithmetic import Lengths
from simlm.data.reference import IRDS
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
MS_MARCO = Sizes(
    8_841_823,
    {"train": 497_909, "valid": 5_030, "test": 6_980, "trec-dl-2019": 43, "trec-dl-2020": 54},
    log_normal(69.5, 0.4),
    QUERIES,
    counted=False,
    download_bytes=1.1e9,
)
NQ = Sizes(
    21_015_324,
    {"train": 58_880, "valid": 6_515, "test": 3_610},
    log_normal(148.0, 0.1),
    QUERIES,
    counted=False,
    download_bytes=7.3e9,
)
INSURANCE = log_normal(92.0, 0.5)
STATED: Mapping[str, Sizes] = {
    "msmarco": MS_MARCO,
    "msmarco-titleless": MS_MARCO,
    "msmarco-passage": MS_MARCO,
    "nq": NQ,
    "dpr-w100": NQ,
    "insuranceqa": Sizes(27_413, {"train": 12_889, "valid": 2_000, "test": 2_000}, INSURANCE, QUERIES, counted=False),
    "insuranceqa-smoke": Sizes(600, {"train": 300, "valid": 50, "test": 50}, INSURANCE, QUERIES, counted=False),
}
"""Published numbers of passages and queries; lengths are assumed: about 75, 150 and 105 word pieces a passage.

Of MS MARCO's 502,939 train queries with a relevant passage one in a hundred is set aside as valid. Downloads are what
ir_datasets says of MS MARCO's and DPR's files; SimLM's released archive of MS MARCO is taken to be about as large.
"""


ARCHIVES, ARCHIVE_BYTES = "released archives", 1e8
"""A folder of SimLM's released archives (`simlm.data.reference.LAYOUTS`): MS MARCO's, unless it is far too small."""


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
    if data.collection == ARCHIVES:
        whole_archive = sum(path.stat().st_size for path in Path(data.location).rglob("*")) > ARCHIVE_BYTES
        return replace(MS_MARCO, download_bytes=0.0) if whole_archive else None
    return STATED.get(data.collection.removeprefix(IRDS).partition(",")[0])


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
