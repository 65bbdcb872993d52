"""ir_datasets' own interfaces over rows that a function gives: what every collection of ours is made of."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from simlm.data.irds import ir_datasets

BaseDocs: Any = ir_datasets.formats.BaseDocs
BaseQueries: Any = ir_datasets.formats.BaseQueries
BaseQrels: Any = ir_datasets.formats.BaseQrels
BaseScoredDocs: Any = ir_datasets.formats.BaseScoredDocs
Docstore: Any = ir_datasets.indices.Docstore
GenericDoc = ir_datasets.formats.GenericDoc
GenericQrel = ir_datasets.formats.GenericQrel
GenericQuery = ir_datasets.formats.GenericQuery
GenericScoredDoc = ir_datasets.formats.GenericScoredDoc


class TitledDoc(NamedTuple):
    """A document with a title, which can be empty."""

    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        """Title and text, as ir_datasets' default_text of other titled collections."""
        return f"{self.title} {self.text}" if self.title else self.text


class _LookupStore(Docstore):
    """Documents by id, from the rows in memory: ir_datasets' stock store would write a pickle to disk."""

    def __init__(self, docs: Sequence[Any], doc_type: type) -> None:
        super().__init__(doc_type)
        self._of = {doc.doc_id: doc for doc in docs}

    def get_many_iter(self, doc_ids: Iterable[str]) -> Iterator[Any]:
        return (self._of[doc_id] for doc_id in doc_ids if doc_id in self._of)


class _ScanStore(Docstore):
    """Documents by id, each request one pass over the rows: nothing is kept, in memory or on disk.

    Ask for many at once.
    """

    def __init__(self, docs: Callable[[], Iterable[Any]], doc_type: type) -> None:
        super().__init__(doc_type)
        self._docs = docs

    def get_many_iter(self, doc_ids: Iterable[str]) -> Iterator[Any]:
        wanted = set(doc_ids)
        for doc in self._docs() if wanted else ():
            if doc.doc_id in wanted:
                wanted.remove(doc.doc_id)
                yield doc
                if not wanted:
                    return


class Docs(BaseDocs):
    """Documents (`doc_type` tuples) that `rows` gives, read at the first use."""

    def __init__(self, rows: Callable[[], Sequence[Any]], doc_type: type, language: str | None) -> None:
        self._rows, self._type, self._language = rows, doc_type, language

    def docs_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def docs_count(self) -> int:
        return len(self._rows())

    def docs_cls(self) -> type:
        return self._type

    def docs_lang(self) -> str | None:
        return self._language

    def docs_store(self) -> Any:
        return _LookupStore(self._rows(), self._type)


class Queries(BaseQueries):
    """Queries (`query_type` tuples) that `rows` gives, read at the first use."""

    def __init__(self, rows: Callable[[], Sequence[Any]], query_type: type, language: str | None) -> None:
        self._rows, self._type, self._language = rows, query_type, language

    def queries_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def queries_count(self) -> int:
        return len(self._rows())

    def queries_cls(self) -> type:
        return self._type

    def queries_lang(self) -> str | None:
        return self._language


class StreamedDocs(Docs):
    """Documents that ``rows`` gives one at a time, anew at each call; none is kept."""

    def __init__(self, rows: Callable[[], Iterable[Any]], doc_type: type, language: str | None) -> None:
        super().__init__(lambda: [], doc_type, language)
        self._streamed = rows

    def docs_iter(self) -> Iterator[Any]:
        return iter(self._streamed())

    def docs_count(self) -> int:
        return sum(1 for _ in self._streamed())

    def docs_store(self) -> Any:
        return _ScanStore(self._streamed, self._type)


class StreamedQueries(Queries):
    """Queries that ``rows`` gives one at a time, anew at each call; none is kept."""

    def __init__(self, rows: Callable[[], Iterable[Any]], query_type: type, language: str | None) -> None:
        super().__init__(lambda: [], query_type, language)
        self._streamed = rows

    def queries_iter(self) -> Iterator[Any]:
        return iter(self._streamed())

    def queries_count(self) -> int:
        return sum(1 for _ in self._streamed())


class Qrels(BaseQrels):
    """Judgments that `rows` gives, read at the first use."""

    def __init__(self, rows: Callable[[], Iterable[Any]]) -> None:
        self._rows = rows

    def qrels_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def qrels_defs(self) -> dict[int, str]:
        return {1: "relevant"}


class ScoredDocs(BaseScoredDocs):
    """A ranking that `rows` gives, one query's documents after another's, read at the first use.

    `named` gives some of the rows, in which each document that is ranked comes once at least; all unless said.
    """

    def __init__(self, rows: Callable[[], Iterable[Any]], named: Callable[[], Iterable[Any]] | None = None) -> None:
        self._rows, self._named = rows, named or rows

    def scoreddocs_iter(self) -> Iterator[Any]:
        return iter(self._rows())

    def scoreddocs_named(self) -> Iterator[Any]:
        """Enough of the rows to check what they name."""
        return iter(self._named())
