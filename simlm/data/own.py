"""Collections in files as ir_datasets objects, registered under the digest of their files."""

from functools import cache
from typing import Any

from simlm.data.handlers import (
    GenericQrel,
    GenericQuery,
    GenericScoredDoc,
    Qrels,
    ScoredDocs,
    StreamedDocs,
    StreamedQueries,
    TitledDoc,
)
from simlm.data.irds import ir_datasets
from simlm.data.layout import Layout
from simlm.data.reference import opened
from simlm.data.source import Collection


@cache
def own_collection(kind: str, location: str, digest: str) -> Collection:
    """The collection in a folder of a layout's kind; UserError where its files do not have that digest (any more).

    Checked once a process: hashing the files takes seconds where they are large.
    """
    layout = opened(kind, location, digest)
    return in_layout(layout, f"{kind.replace(' ', '-')}-{(digest or layout.digest())[:16]}", layout.name)


def in_layout(layout: Layout, id: str, name: str) -> Collection:
    """The collection called ``name`` of a layout's rows, registered with ir_datasets under ``id``."""
    parts = _datasets(id, layout)
    for one, dataset in parts.items():
        if one not in set(ir_datasets.registry):
            ir_datasets.registry.register(one, dataset)
    return Collection(
        name,
        parts[id],
        {split: parts[f"{id}/{split}"] for split in layout.splits},
        has_titles=layout.has_titles,
        places=layout,
        description=layout.description,
        origin=layout.source,
        registered={split: f"{id}/{split}" for split in layout.splits},
    )


def _datasets(id: str, layout: Layout) -> dict[str, Any]:
    docs = StreamedDocs(lambda: (TitledDoc(*row) for row in layout.passages()), TitledDoc, None)
    return {id: ir_datasets.Dataset(docs)} | {f"{id}/{split}": _split(docs, layout, split) for split in layout.splits}


def _split(docs: StreamedDocs, layout: Layout, split: str) -> Any:
    parts: list[Any] = [
        docs,
        StreamedQueries(lambda: (GenericQuery(*row) for row in layout.queries(split)), GenericQuery, None),
        Qrels(lambda: (GenericQrel(*row) for row in layout.qrels(split))),
    ]
    if (negatives := layout.negatives) is not None:
        parts.append(
            ScoredDocs(lambda: (GenericScoredDoc(query, id, 0.0) for query, ids in negatives(split) for id in ids))
        )
    return ir_datasets.Dataset(*parts)
