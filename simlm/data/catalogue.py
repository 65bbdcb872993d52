"""The built-in collections, one record each: to add a collection, add its record to ``CATALOGUE``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from simlm.data.collection import SPLITS
from simlm.data.downloads import HubArchive, IrdsFolder

IRDS = "irds:"
"""What the name of a data set of ir_datasets begins with, which needs no record."""

SHARED_IDS = ("beir/arguana", "beir/quora")
"""Data sets of ir_datasets in which a query that has a passage's id is that passage."""

TREC_DL_PASSAGES = re.compile(r"msmarco-passage(-v2)?/trec-dl-(\d{4}|hard)(/.*)?")
"""The data sets of ir_datasets with TREC DL's judgements of passages, of 2019 to 2023."""


class PieceLengths(NamedTuple):
    """Median length in word pieces, and standard deviation of the logarithms, of a log-normal distribution."""

    median: float
    spread: float


@dataclass(frozen=True)
class BuiltIn:
    """A collection that a scale or a reader asks for by name.

    It comes from one of three places: ``irds_ids`` name data sets of ir_datasets; ``layout`` is that of the files in a
    ``download`` from the Hub; or ``opener`` is a function of its own.
    """

    name: str
    title: str
    """What `python -m repro.data list` says of it."""
    size: str
    licence: str
    description: str
    """What a report says of it."""
    passages: int
    """The published number of passages."""
    queries: Mapping[str, int]
    """The published number of queries of each split."""
    lengths: PieceLengths
    """Assumed for estimates, before passages are counted."""
    irds_ids: Mapping[str, str] = field(default_factory=dict)
    """The id of each split, and under "passages" that of the passages. Where train and valid have one id, one in a
    hundred of its queries is valid's (`simlm.data.collection.set_aside`)."""
    layout: str = ""
    """A key of `simlm.data.lookup.LAYOUTS`. A folder in this layout is the same collection."""
    opener: str = ""
    """The function that opens it, as "module:function": takes name, location and digest, returns a `Collection`."""
    download: HubArchive | IrdsFolder | None = None
    """Where it is fetched from; None where a package brings it."""
    download_bytes: float = 0.0
    extra_test_splits: Mapping[str, int] = field(default_factory=dict)
    """Test splits beside "test", with the smallest grade that counts as relevant there."""
    has_negatives: bool = False
    """Whether lists of hard negatives come with it."""
    question_file: bool = False
    """Whether its test questions, which have answers and no qrels, are in a file of the user's: NAME:FILE."""
    halves: tuple[str, ...] = ()
    """The names of its halves by domain, which are collections called <name>-<half> (Table 10)."""

    @property
    def download_folder(self) -> str:
        """The data set of ir_datasets that it is downloaded as, "" for none."""
        return self.download.folder if isinstance(self.download, IrdsFolder) else ""

    def is_whole(self, collection: str, passages: int, queries: int) -> bool:
        """Return whether a collection is this one, with all passages and test queries.

        Args:
            collection: What a scale calls it: this name, or the layout of a folder with the same files.
            passages: How many passages it has.
            queries: How many test queries it has.
        """
        return collection in (self.name, self.layout) and (passages, queries) == (self.passages, self.queries["test"])


MS_MARCO_LICENCE = "MS MARCO's: non-commercial research"
MS_MARCO_QUERIES = {"train": 497_909, "valid": 5_030, "test": 6_980, "trec-dl-2019": 43, "trec-dl-2020": 54}
"""Of the 502,939 train queries with a relevant passage, one in a hundred is set aside as valid."""
TREC_DL = {"trec-dl-2019": 2, "trec-dl-2020": 2}
SIMLM_ARCHIVE = HubArchive(
    "intfloat/simlm-msmarco", "msmarco_bm25_official.zip", "99b3fc89775248130c910ef9915cb3934977f5f8"
)
"""What was released with SimLM. The commit is that of the Hub's page of the data set, tree/<commit>; commits/main has
it on top."""
HALVES = ("life", "auto")
"""The halves of InsuranceQA, each called by its largest domain: life insurance, the largest of all, and auto."""

INSURANCEQA = BuiltIn(
    name="insuranceqa",
    title="InsuranceQA (Feng et al., 2015), English; the scales mini and small",
    size="27,413 passages; 21 MB, installed as insuranceqa-data 1.2",
    licence="research use",
    description="InsuranceQA (Feng et al., 2015), the English questions and answers of insuranceqa-data 1.2.",
    passages=27_413,
    queries={"train": 12_889, "valid": 2_000, "test": 2_000},
    lengths=PieceLengths(92.0, 0.5),
    opener="simlm.data.insuranceqa:collection",
    has_negatives=True,
    halves=HALVES,
)
SMOKE = BuiltIn(
    name="insuranceqa-smoke",
    title="the first of these; the scale smoke, for tests",
    size="600 passages",
    licence="research use",
    description="The first passages and questions of InsuranceQA: for tests, the figures mean nothing.",
    passages=600,
    queries={"train": 64, "valid": 32, "test": 32},
    lengths=INSURANCEQA.lengths,
    opener="simlm.data.insuranceqa:collection",
    has_negatives=True,
    halves=HALVES,
)
MSMARCO = BuiltIn(
    name="msmarco",
    title="MS MARCO with titles as released with SimLM (Hub: intfloat/simlm-msmarco), TREC DL 2019 and 2020; the scale "
    "paper",
    size="8,841,823 passages; an archive of some GB, fetched at first use",
    licence=MS_MARCO_LICENCE,
    description="MS MARCO passages with titles, from the training data released with SimLM. Test is MS MARCO's dev; "
    "valid is one in 100 of the training queries, which are set aside.",
    passages=8_841_823,
    queries=MS_MARCO_QUERIES,
    lengths=PieceLengths(69.5, 0.4),
    layout="released archives",
    download=SIMLM_ARCHIVE,
    download_bytes=1.1e9,  # taken to be about as large as MS MARCO's own files
    extra_test_splits=TREC_DL,
    has_negatives=True,
)
TITLELESS = BuiltIn(
    name="msmarco-titleless",
    title="MS MARCO as ir_datasets has it, without titles, with TREC DL: a variant",
    size="8,841,823 passages; 1.1 GB and queries, fetched at first use",
    licence=MS_MARCO_LICENCE,
    description="MS MARCO passages without titles, as ir_datasets has them, and so another corpus than SimLM's. Test "
    "is MS MARCO's dev; valid is one in 100 of the training queries, which are set aside.",
    passages=MSMARCO.passages,
    queries=MS_MARCO_QUERIES,
    lengths=MSMARCO.lengths,
    irds_ids={
        "passages": "msmarco-passage",
        "train": "msmarco-passage/train/judged",
        "valid": "msmarco-passage/train/judged",
        "test": "msmarco-passage/dev/small",
        **{split: f"msmarco-passage/{split}/judged" for split in TREC_DL},
    },
    download=IrdsFolder("msmarco-passage", "collectionandqueries"),
    download_bytes=1.1e9,
    extra_test_splits=TREC_DL,
)
NQ = BuiltIn(
    name="nq",
    title="Natural Questions over DPR's Wikipedia through ir_datasets; FILE has the test questions with their answers: "
    "DPR's nq-test.qa.csv, or what python -m baselines.questions FILE writes",
    size="21,015,324 passages; 4.7 GB and questions, fetched at first use",
    licence="Wikipedia and Natural Questions: CC BY-SA 3.0; DPR's files: CC BY-NC 4.0",
    description="Natural Questions over DPR's Wikipedia in passages of 100 words. Valid is DPR's dev; test has answers "
    "and no judgements.",
    passages=21_015_324,
    queries={"train": 58_880, "valid": 6_515, "test": 3_610},
    lengths=PieceLengths(148.0, 0.1),
    opener="simlm.data.natural_questions:collection",
    download=IrdsFolder("dpr-w100", "docs"),
    download_bytes=7.3e9,
    has_negatives=True,
    question_file=True,
)

CATALOGUE: Mapping[str, BuiltIn] = {one.name: one for one in (INSURANCEQA, SMOKE, MSMARCO, TITLELESS, NQ)}
"""The built-in collections by name, in the order in which they are listed."""


def find(name: str) -> BuiltIn | None:
    """Return the record of a built-in collection, or of the one that it is a half of; None for any other name."""
    return next((one for one in CATALOGUE.values() if name in (one.name, *_half_names(one))), None)


def fetched(name: str) -> BuiltIn | None:
    """Return the record of a built-in collection that is downloaded; None for any other name."""
    found = CATALOGUE.get(name)
    return found if found is not None and found.download is not None else None


def has_ready_lists(collection: str) -> bool:
    """Return whether a collection's negatives are lists to train on as they are, and no ranking to make such from.

    ``collection`` is what a scale calls it. The lists that were released with SimLM are shuffled and hold random ones.
    """
    return collection in (MSMARCO.name, MSMARCO.layout)


def halves(name: str) -> tuple[str, ...]:
    """Return the halves that a collection has by the domains of its questions; () for none."""
    return CATALOGUE[name].halves if name in CATALOGUE else ()


def relevant_grade(irds_id: str) -> int:
    """Return the smallest grade that counts as relevant in a data set of ir_datasets.

    It is 2 for TREC DL's passages, where TREC has 1 for "related", and 1 everywhere else: TREC DL's documents and other
    graded sets too, and BEIR's copies of any.
    """
    return 2 if TREC_DL_PASSAGES.fullmatch(irds_id) else 1


def _half_names(one: BuiltIn) -> list[str]:
    return [f"{one.name}-{half}" for half in one.halves]


def extra_splits(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Return the test splits beside "test" among a collection's splits."""
    return tuple(split for split in splits if split not in SPLITS)
