"""Collections of rows in memory, for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from simlm.data.collection import Collection, Passage, Query
from simlm.data.irds import (
    Docs,
    GenericDoc,
    GenericQrel,
    GenericQuery,
    GenericScoredDoc,
    Qrels,
    Queries,
    ScoredDocs,
    TitledDoc,
    ir_datasets,
)

Judged = Mapping[str, Mapping[str, int]]


def collection_of(
    name: str,
    passages: Sequence[Passage],
    splits: Mapping[str, tuple[Sequence[Query], Judged]],
    negatives: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    has_titles: bool | None = None,
) -> Collection:
    """Return a collection of {split: (queries, {query id: {passage id: grade}})}, and {split: {query id: negatives}}.

    It has titles when a passage has one, unless said.
    """
    if has_titles is None:
        has_titles = any(passage.title for passage in passages)
    if has_titles:
        docs = Docs(lambda: [TitledDoc(*row) for row in passages], TitledDoc, None)
    else:
        docs = Docs(lambda: [GenericDoc(row.id, row.text) for row in passages], GenericDoc, None)
    datasets = {
        split: _dataset(docs, queries, judged, (negatives or {}).get(split))
        for split, (queries, judged) in splits.items()
    }
    return Collection(name, ir_datasets.Dataset(docs), datasets)


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
