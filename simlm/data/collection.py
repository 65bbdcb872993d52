"""A collection as the rest of the code sees it: passages, and splits of queries with judgements.

Nothing here imports ir_datasets, of whose objects a collection is made.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from simlm.data.ids import duplicated, length_prefixed, text_key, text_keys
from simlm.errors import UserError

SPLITS = ("train", "valid", "test")
"""What every collection has. Further splits are test splits too: nothing is trained or tuned on them."""


SET_ASIDE = 100
"""Where a collection has no valid split of its own: of so many train queries one is set aside for it."""


class Passage(NamedTuple):
    """A passage; ``title`` is empty in a collection without titles."""

    id: str
    title: str
    text: str


class Query(NamedTuple):
    """A query; its id is unique within its split."""

    id: str
    text: str


class Judgement(NamedTuple):
    """A passage's grade for a query. From which grade on it is relevant, `Collection.relevant_grade` says."""

    query: str
    passage: str
    grade: int


class Layout(Protocol):
    """A collection in files, whatever their layout: rows in the order of the files, read anew at every use.

    Attributes:
        name: The collection's name for readers.
        lasting_name: What stages leave of its name: the same when its folder is renamed, as their outputs have to be.
        description: What it is, in a sentence for a report.
        source: Where it comes from, in a few words.
        splits: Its splits, ``SPLITS`` first.
    """

    folder: Path
    name: str
    lasting_name: str
    description: str
    source: str
    splits: tuple[str, ...]
    has_negatives: bool
    """Whether hard negatives come with the collection."""
    relevant_from: Mapping[str, int]
    """As in `Collection`."""

    def digest(self) -> str:
        """Return a sha256 that is the same for the same bytes, wherever the files lie."""

    def count(self) -> int | None:
        """Return the number of passages, None where only unpacking them would tell."""

    def passages(self) -> Iterator[Passage]: ...
    def has_titles(self) -> bool: ...
    def queries(self, split: str) -> Iterator[Query]: ...
    def qrels(self, split: str) -> Iterator[Judgement]: ...

    def negatives(self, split: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield query ids with the passage ids of their hard negatives."""

    def place_of_passage(self, number: int) -> str:
        """Return file and line of the passage in place ``number`` (from 0). May read the files once more."""

    def place_of_query(self, split: str, number: int) -> str:
        """Return file and line of the split's query in place ``number`` (from 0)."""

    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str:
        """Return file and line of the first qrel of a query, or of its qrel for a passage."""


@dataclass(eq=False)
class Collection:
    """Passages and splits of queries with judgements, streamed from ir_datasets objects; nothing is kept."""

    name: str
    docs: Any
    """The ir_datasets object with the documents."""
    datasets: Mapping[str, Any]
    """Of each split the ir_datasets object with its queries and qrels, and scoreddocs where negatives come with it."""
    any_title: Callable[[], bool] = lambda: True
    """Whether any passage has a title, asked at the first use where documents have that field."""
    files: Layout | None = None
    """Where rows stand in files: what says in which file and line."""
    description: str = ""
    origin: str = ""
    """Where it comes from, for a report."""
    registered: Mapping[str, str] = field(default_factory=dict)
    """The id under which ir_datasets knows each split."""
    answers: Mapping[str, Callable[[], Iterator[tuple[str, list[str]]]]] = field(default_factory=dict)
    """Of each split whose queries come with answers: every query's id and answers. Test then needs no qrels."""
    relevant_from: Mapping[str, int] = field(default_factory=dict)
    """The smallest grade that counts as relevant, of each split where that is not 1."""
    shared_ids: bool = False
    """Whether a query and a passage with one id are the same text (`simlm.data.own_passages`)."""

    @property
    def lasting_name(self) -> str:
        """Its name in what stages leave, which a folder's name is no part of."""
        return self.name if self.files is None else self.files.lasting_name

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.datasets)

    @cached_property
    def has_titles(self) -> bool:
        """Whether titles are a part of their own of every passage's input (`simlm.data.inputs.passage_input`)."""
        return self._title_field and self.any_title()

    @property
    def _title_field(self) -> bool:
        return "title" in self.docs.docs_cls()._fields

    def dataset(self, split: str) -> Any:
        """Return the ir_datasets object of a split; UserError for an unknown one."""
        if split not in self.datasets:
            raise UserError(f"{self.name} has no split {split!r}: choose one of {', '.join(self.splits)}")
        return self.datasets[split]

    def passages(self) -> Iterator[Passage]:
        """Yield all passages, in the order of passage indices everywhere."""
        if self._title_field:
            return (Passage(doc.doc_id, doc.title, doc.text) for doc in self.docs.docs_iter())
        return (Passage(doc.doc_id, "", doc.text) for doc in self.docs.docs_iter())

    def queries(self, split: str) -> Iterator[Query]:
        """Yield a split's queries, in the order of query indices everywhere."""
        return (Query(query.query_id, query.text) for query in self.dataset(split).queries_iter())

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """Return a split's judgements: {query id: {passage id: grade}}."""
        judged: dict[str, dict[str, int]] = {}
        for qrel in self.dataset(split).qrels_iter():
            judged.setdefault(qrel.query_id, {})[qrel.doc_id] = qrel.relevance
        return judged

    def relevant_grade(self, split: str) -> int:
        """Return the smallest grade of a split that counts as relevant, for measures, positives and all counts.

        A passage with a lower one is as one that was not judged, and may be a negative. nDCG alone knows all grades.
        """
        return self.relevant_from.get(split, 1)

    def relevant(self, split: str) -> dict[str, list[str]]:
        """Return the ids of the relevant passages of every judged query."""
        least = self.relevant_grade(split)
        return {
            query: [passage for passage, grade in judged.items() if grade >= least]
            for query, judged in self.qrels(split).items()
        }

    def negatives(self, split: str) -> Iterator[tuple[str, list[str]]]:
        """Yield the hard negatives that come with a split: (query id, passage ids); UserError where none come."""
        dataset = self.dataset(split)
        if not dataset.has_scoreddocs():
            raise UserError(f"{self.name} has no negatives of its own for {split!r}: mine them with BM25 instead")
        for query, rows in groupby(dataset.scoreddocs_iter(), key=lambda row: row.query_id):
            yield query, [row.doc_id for row in rows]

    def distinct_negatives(self, split: str) -> Iterator[tuple[str, str]]:
        """Yield (query id, passage id) of a split's negatives so that each passage comes at least once.

        Of InsuranceQA these are few, of other collections all. None where no negatives come with the split.
        """
        dataset = self.dataset(split)
        if dataset.has_scoreddocs():
            rows = getattr(dataset, "distinct_scoreddocs", dataset.scoreddocs_iter)()
            yield from ((row.query_id, row.doc_id) for row in rows)

    def fingerprint(self) -> str:
        """Return a sha256 over every passage, query and judgement in order, streamed; the name does not count."""
        digest = hashlib.sha256()

        def add(*fields: Any) -> None:
            digest.update(length_prefixed(str(field) for field in fields))

        for passage in self.passages():
            add("passage", *passage)
        for split in self.splits:
            for query in self.queries(split):
                add("query", split, *query)
            for id, judged in self.qrels(split).items():
                for passage_id, grade in judged.items():
                    add("qrel", split, id, passage_id, grade)
        return digest.hexdigest()


def set_aside(query_id: str) -> bool:
    """Return whether a train query is one of those that are set aside as valid, by the key of its id."""
    return text_key(query_id) % SET_ASIDE == 0


def statistics(collection: Collection) -> dict[str, Any]:
    """Count what a collection holds, and what its splits share; a report states both.

    Texts are the same when only case and white space differ. They are compared by 64-bit keys, 8 bytes a passage.

    Returns:
        passages: Their number.
        duplicate_passage_texts: Texts, with their titles, that occur more than once.
        splits: Of each split its ``queries``, its ``qrels`` of a relevant grade, and ``relevant_per_query``, the mean
            over all queries.
        overlaps: Of each split but train: ``queries_in_train``, queries whose text is a train query's, and
            ``positives_in_train``, distinct relevant passages that are relevant in train.
    """
    texts = text_keys(f"{folded(passage.title)}\0{folded(passage.text)}" for passage in collection.passages())
    queries: dict[str, list[int]] = {}
    positives: dict[str, set[str]] = {}
    splits: dict[str, Any] = {}
    for split in collection.splits:
        queries[split] = list(text_keys(folded(query.text) for query in collection.queries(split)))
        relevant = [passage for row in collection.relevant(split).values() for passage in row]
        positives[split] = set(relevant)
        splits[split] = {
            "queries": len(queries[split]),
            "qrels": len(relevant),
            "relevant_per_query": len(relevant) / max(1, len(queries[split])),
        }
    train = set(queries.get("train", ()))
    overlaps = {
        split: {
            "queries_in_train": sum(query in train for query in queries[split]),
            "positives_in_train": len(positives[split] & positives["train"]),
        }
        for split in collection.splits
        if "train" in splits and split != "train"
    }
    return {
        "passages": len(texts),
        "duplicate_passage_texts": len(duplicated(texts)),
        "splits": splits,
        "overlaps": overlaps,
    }


def folded(text: str) -> str:
    """Return a text as it is compared: case and white space do not count."""
    return " ".join(text.casefold().split())
