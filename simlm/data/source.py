"""A collection as the rest of the code sees it, whatever ir_datasets objects it is made of."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from simlm.data.handlers import (
    Docs,
    GenericDoc,
    GenericQrel,
    GenericQuery,
    GenericScoredDoc,
    Qrels,
    Queries,
    ScoredDocs,
    TitledDoc,
)
from simlm.data.ids import length_prefixed
from simlm.data.irds import ir_datasets
from simlm.errors import UserError


class Passage(NamedTuple):
    """A passage; `title` is empty in a collection without titles."""

    id: str
    title: str
    text: str


class Query(NamedTuple):
    """A query; its id is unique within its split."""

    id: str
    text: str


Judged = Mapping[str, Mapping[str, int]]


class Places(Protocol):
    """In which file and line a row of a collection stands (`simlm.data.layout.Layout` says more)."""

    def place_of_passage(self, number: int) -> str: ...
    def place_of_query(self, split: str, number: int) -> str: ...
    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str: ...


class Collection:
    """Passages and splits of queries with judgments, read from ir_datasets objects.

    `docs` is a dataset with documents; `splits` names a dataset with queries and qrels (and scoreddocs, where
    hard negatives come with the collection) for each split. Everything is streamed; nothing is kept.

    `has_titles` is asked at its first use whether any passage has a title, where the documents have the field;
    without it they count as titled. `places`, where rows stand in files, says where. `description` and
    `origin` are for a report, as is `registered`, the id under which ir_datasets knows each split. `answers` gives,
    for each split whose queries come with answers, every query's id and answers; test is judged by them without qrels.
    """

    def __init__(
        self,
        name: str,
        docs: Any,
        splits: Mapping[str, Any],
        has_titles: Callable[[], bool] | None = None,
        places: Places | None = None,
        description: str = "",
        origin: str = "",
        registered: Mapping[str, str] | None = None,
        answers: Mapping[str, Callable[[], Iterator[tuple[str, list[str]]]]] | None = None,
    ) -> None:
        self.name = name
        self.docs = docs
        self.splits: tuple[str, ...] = tuple(splits)
        self.places = places
        self.description = description
        self.origin = origin
        self.registered = registered or {split: f"{name}/{split}" for split in splits}
        self._datasets = dict(splits)
        self.answers = dict(answers or {})
        self._title_field: bool = "title" in docs.docs_cls()._fields
        self._any_title = has_titles

    @cached_property
    def has_titles(self) -> bool:
        """Whether titles are a part of their own of every passage's input (simlm.data.inputs.passage_input)."""
        return self._title_field and (self._any_title is None or self._any_title())

    @classmethod
    def from_rows(
        cls,
        name: str,
        passages: Sequence[Passage],
        splits: Mapping[str, tuple[Sequence[Query], Judged]],
        negatives: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
        has_titles: bool | None = None,
    ) -> "Collection":
        """A collection over rows in memory: {split: (queries, {query id: {passage id: grade}})}.

        `negatives` holds {split: {query id: passage ids}}. Has titles when a passage has one, unless said.
        """
        if has_titles is None:
            has_titles = any(passage.title for passage in passages)
        if has_titles:
            handler = Docs(lambda: [TitledDoc(*row) for row in passages], TitledDoc, None)
        else:
            handler = Docs(lambda: [GenericDoc(row.id, row.text) for row in passages], GenericDoc, None)
        datasets = {
            split: _dataset(handler, queries, judged, (negatives or {}).get(split))
            for split, (queries, judged) in splits.items()
        }
        return cls(name, ir_datasets.Dataset(handler), datasets)

    def dataset(self, split: str) -> Any:
        """The ir_datasets object of a split; UserError for an unknown one."""
        if split not in self._datasets:
            raise UserError(f"{self.name} has no split {split!r}: choose one of {', '.join(self.splits)}")
        return self._datasets[split]

    def passages(self) -> Iterator[Passage]:
        """All passages, in the collection's order, which is the order of passage indices everywhere."""
        if self._title_field:
            return (Passage(doc.doc_id, doc.title, doc.text) for doc in self.docs.docs_iter())
        return (Passage(doc.doc_id, "", doc.text) for doc in self.docs.docs_iter())

    def queries(self, split: str) -> Iterator[Query]:
        """A split's queries, in the collection's order, which is the order of query indices everywhere."""
        return (Query(query.query_id, query.text) for query in self.dataset(split).queries_iter())

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """A split's judgments: {query id: {passage id: grade}}, relevant where the grade is above 0."""
        judged: dict[str, dict[str, int]] = {}
        for qrel in self.dataset(split).qrels_iter():
            judged.setdefault(qrel.query_id, {})[qrel.doc_id] = qrel.relevance
        return judged

    def negatives(self, split: str) -> Iterator[tuple[str, list[str]]]:
        """The hard negatives that come with a split: (query id, passage ids); UserError where none come."""
        dataset = self.dataset(split)
        if not dataset.has_scoreddocs():
            raise UserError(f"{self.name} has no negatives of its own for {split!r}: mine them with BM25 instead")
        for query, rows in groupby(dataset.scoreddocs_iter(), key=lambda row: row.query_id):
            yield query, [row.doc_id for row in rows]

    def negatives_named(self, split: str) -> Iterator[tuple[str, str]]:
        """(query id, passage id) of negatives that come with a split, each passage once at least; none where none come.

        Of our own collections these are few; of another ir_datasets collection they are all.
        """
        dataset = self.dataset(split)
        if dataset.has_scoreddocs():
            rows = getattr(dataset, "scoreddocs_named", dataset.scoreddocs_iter)()
            yield from ((row.query_id, row.doc_id) for row in rows)

    def fingerprint(self) -> str:
        """sha256 over every passage, query and judgment in order, streamed; the name does not count."""
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


def _dataset(
    docs: Docs, queries: Sequence[Query], judged: Judged, negatives: Mapping[str, Sequence[str]] | None
) -> Any:
    parts: list[Any] = [
        docs,
        Queries(lambda: [GenericQuery(*query) for query in queries], GenericQuery, None),
        Qrels(lambda: [GenericQrel(query, id, grade) for query, row in judged.items() for id, grade in row.items()]),
    ]
    if negatives is not None:
        parts.append(
            ScoredDocs(lambda: [GenericScoredDoc(query, id, 0.0) for query, ids in negatives.items() for id in ids])
        )
    return ir_datasets.Dataset(*parts)
