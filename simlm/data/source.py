"""A collection as the rest of the code sees it, whatever ir_datasets objects it is made of."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

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


class Collection:
    """Passages and splits of queries with judgments, read from ir_datasets objects.

    `docs` is a dataset with documents; `splits` names a dataset with queries and qrels (and scoreddocs, where
    hard negatives come with the collection) for each split. Everything is streamed; nothing is kept.
    """

    def __init__(self, name: str, docs: Any, splits: Mapping[str, Any]) -> None:
        self.name = name
        self.docs = docs
        self.splits: tuple[str, ...] = tuple(splits)
        self.has_titles: bool = "title" in docs.docs_cls()._fields
        self._datasets = dict(splits)

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
        if self.has_titles:
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
