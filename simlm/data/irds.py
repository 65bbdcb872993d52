"""ir_datasets, once its home is settled, and its interfaces over rows that a function gives.

This is the one module that imports ir_datasets. The library makes a folder below HOME as soon as it is imported, so a
command imports this module after its options were checked.
"""

import importlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, NamedTuple

from simlm.data.collection import Collection, Layout


def settle_home() -> None:
    """Point IR_DATASETS_HOME at a temporary folder when it is not set and HOME cannot be written.

    Our collections keep nothing there. Those that ir_datasets downloads do: whoever wants them under an unwritable
    HOME sets IR_DATASETS_HOME.
    """
    if "IR_DATASETS_HOME" in os.environ:
        return
    try:
        home = Path.home() / ".ir_datasets"
        home.mkdir(exist_ok=True)  # HOME itself is not ours to make
        with tempfile.TemporaryFile(dir=home):
            pass
    except (OSError, RuntimeError):
        os.environ["IR_DATASETS_HOME"] = str(Path(tempfile.gettempdir()) / f"ir_datasets-{os.getuid()}")


settle_home()
ir_datasets: Any = importlib.import_module("ir_datasets")

BaseDocs: Any = ir_datasets.formats.BaseDocs
BaseQueries: Any = ir_datasets.formats.BaseQueries
BaseQrels: Any = ir_datasets.formats.BaseQrels
BaseScoredDocs: Any = ir_datasets.formats.BaseScoredDocs
BaseDocstore: Any = ir_datasets.indices.Docstore
GenericDoc = ir_datasets.formats.GenericDoc
GenericQrel = ir_datasets.formats.GenericQrel
GenericQuery = ir_datasets.formats.GenericQuery
GenericScoredDoc = ir_datasets.formats.GenericScoredDoc

Rows = Callable[[], Iterable[Any]]
"""Gives all rows at each call: a list that is kept, or a new iterator that reads them from files."""


class TitledDoc(NamedTuple):
    """A document with a title, which can be empty."""

    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        """Return title and text, as other titled collections of ir_datasets do."""
        return f"{self.title} {self.text}" if self.title else self.text


class Docs(BaseDocs):
    """Documents, which are tuples of ``doc_type``; ``language`` is a code such as "en", or None."""

    def __init__(self, rows: Rows, doc_type: type, language: str | None) -> None:
        self._rows, self._type, self._language = rows, doc_type, language

    def docs_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def docs_count(self) -> int:
        return _count(self._rows())

    def docs_cls(self) -> type:
        return self._type

    def docs_lang(self) -> str | None:
        return self._language

    def docs_store(self) -> Any:
        return _Docstore(self._rows, self._type)


class _Docstore(BaseDocstore):
    """Documents by id. Each request is one pass over the rows, so ask for many at once.

    ir_datasets' own store would write a pickle to disk.
    """

    def __init__(self, rows: Rows, doc_type: type) -> None:
        super().__init__(doc_type)
        self._rows = rows

    def get_many_iter(self, doc_ids: Iterable[str]) -> Iterator[Any]:
        wanted = set(doc_ids)
        for doc in self._rows() if wanted else ():
            if doc.doc_id in wanted:
                wanted.remove(doc.doc_id)
                yield doc
                if not wanted:
                    return


class Queries(BaseQueries):
    """Queries, which are tuples of ``query_type``; ``language`` is a code such as "en", or None."""

    def __init__(self, rows: Rows, query_type: type, language: str | None) -> None:
        self._rows, self._type, self._language = rows, query_type, language

    def queries_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def queries_count(self) -> int:
        return _count(self._rows())

    def queries_cls(self) -> type:
        return self._type

    def queries_lang(self) -> str | None:
        return self._language


class Qrels(BaseQrels):
    """Judgements."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def qrels_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def qrels_defs(self) -> dict[int, str]:
        return {1: "relevant"}


class ScoredDocs(BaseScoredDocs):
    """A ranking, one query's documents after another's.

    ``distinct`` gives some of the rows, in which each document that is ranked comes at least once: enough to check
    what the rows name. All of them unless said.
    """

    def __init__(self, rows: Rows, distinct: Rows | None = None) -> None:
        self._rows, self._distinct = rows, distinct or rows

    def scoreddocs_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def distinct_scoreddocs(self) -> Iterator[Any]:
        return iter(self._distinct())


def _count(rows: Iterable[Any]) -> int:
    return len(rows) if isinstance(rows, Sized) else sum(1 for _ in rows)


def register(parts: dict[str, Any]) -> None:
    """Register datasets with ir_datasets by their ids; an id that is registered already is left as it is."""
    for id, dataset in parts.items():
        if id not in set(ir_datasets.registry):
            ir_datasets.registry.register(id, dataset)


def collection_of_layout(layout: Layout, id: str, name: str) -> Collection:
    """Return the collection called ``name`` of a layout's rows, registered with ir_datasets under ``id``."""
    docs = Docs(lambda: (TitledDoc(*row) for row in layout.passages()), TitledDoc, None)
    datasets = {split: _split(docs, layout, split) for split in layout.splits}
    registered = {split: f"{id}/{split}" for split in layout.splits}
    whole = ir_datasets.Dataset(docs)
    register({id: whole} | {registered[split]: datasets[split] for split in layout.splits})
    return Collection(
        name,
        whole,
        datasets,
        any_title=layout.has_titles,
        files=layout,
        description=layout.description,
        origin=layout.source,
        registered=registered,
        relevant_from=layout.relevant_from,
    )


def _split(docs: Docs, layout: Layout, split: str) -> Any:
    parts: list[Any] = [
        docs,
        Queries(lambda: (GenericQuery(*row) for row in layout.queries(split)), GenericQuery, None),
        Qrels(lambda: (GenericQrel(*row) for row in layout.qrels(split))),
    ]
    if layout.has_negatives:
        parts.append(
            ScoredDocs(
                lambda: (GenericScoredDoc(query, id, 0.0) for query, ids in layout.negatives(split) for id in ids)
            )
        )
    return ir_datasets.Dataset(*parts)
