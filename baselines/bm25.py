"""BM25 of Lucene, with Anserini's English analyzer (Porter stems, stop words) and query generator.

The paper's first baseline (Wang et al. 2023, Table 2). Results are those of Anserini's IndexCollection and
SearchCollection, passage by passage, ties included: Anserini settles equal scores by the passage ids as
strings ("10" before "9"), not by passage index, and published figures hold for that order. On InsuranceQA's
test questions it gives RR@10 0.2959 with the defaults, the order of passages 0.2962.

Lucene is called directly (`baselines.lucene`) instead of through Anserini's command line or Pyserini's
searcher. Both of these read the stored id of every hit, which takes four times as long as the search. Here
the index is sorted by id, so that Lucene's own order of ties is Anserini's, and a place in it leads to the
passage through one array.
"""

import json
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ir_measures import RR

from baselines.lucene import HitReader, java_class, one_line, start_jvm
from simlm.data.collection import Passage, Query
from simlm.data.ids import IdTable, IdTableWriter, mapped
from simlm.evaluation.measures import counted_from, evaluate
from simlm.files import atomic_folder, read_marker
from simlm.progress import Bar
from simlm.retrieval.runs import write_rankings

K1, B = 0.9, 0.4
"""Anserini's default parameters, with which the paper's BM25 was run."""

MARKER = "index.json"
KIND = "bm25 index 1"
_LUCENE = "org.apache.lucene."
_OF_TEXT = "(Ljava/lang/String;Ljava/lang/CharSequence;Lorg/apache/lucene/index/IndexableFieldType;)V"
_BUFFER_MB = 256.0
_ANY_NUMBER = 2**31 - 1
"""Different words of a query; Lucene's own limit of 1,024 guards servers against their users."""


class Cost(NamedTuple):
    """What a search took: `seconds` of wall time for `queries`, without JVM start and writing the run."""

    queries: int
    seconds: float


class Trial(NamedTuple):
    """One point of a grid: parameters and RR@10 on the queries they were tried on."""

    k1: float
    b: float
    rr_at_10: float


@one_line()
def build_index(passages: Iterable[Passage], folder: Path) -> None:
    """Index passages into ``folder``, each as its title (where there is one), a line break and its text.

    Memory holds Lucene's buffer and 24 bytes a passage. The folder is there only when it is whole.

    Raises:
        UserError: An id comes twice, the folder holds something else, or Java or Pyserini is missing.
    """
    start_jvm()
    with atomic_folder(folder, MARKER) as partial:
        ids = IdTableWriter(partial)
        try:
            count = _index(passages, partial / "lucene", ids)
        finally:
            ids.abandon()
        ids.close()
        _write_order(partial, count)
        (partial / MARKER).write_text(json.dumps({"format": KIND, "passages": count}) + "\n", encoding="utf-8")


def _index(passages: Iterable[Passage], folder: Path, ids: IdTableWriter) -> int:
    document = java_class(_LUCENE + "document.Document")()
    text = java_class("java.lang.String")("")
    contents = java_class(_LUCENE + "document.Field")("contents", text, _bag_of_words(), signature=_OF_TEXT)
    to_bytes = java_class(_LUCENE + "util.BytesRef")
    name = java_class(_LUCENE + "document.SortedDocValuesField")("id", to_bytes())
    place = java_class(_LUCENE + "document.NumericDocValuesField")("passage", 0)
    for field in (contents, name, place):
        document.add(field)
    writer = java_class(_LUCENE + "index.IndexWriter")(_directory(folder), _sorted_by_id())
    count = 0
    try:
        for passage in Bar(passages, unit=" passages", desc="BM25 index", disable=None):
            contents.setStringValue(f"{passage.title}\n{passage.text}" if passage.title else passage.text)
            name.setBytesValue(to_bytes(passage.id.encode()))
            place.setLongValue(count)
            writer.addDocument(document)
            ids.extend([passage.id])
            count += 1
        writer.forceMerge(1)
    finally:
        writer.close()
    return count


def _bag_of_words() -> Any:
    """Return Anserini's field type: terms and their frequencies, no positions."""
    kind = java_class(_LUCENE + "document.FieldType")()
    kind.setIndexOptions(java_class(_LUCENE + "index.IndexOptions").DOCS_AND_FREQS)
    kind.freeze()
    return kind


def _sorted_by_id() -> Any:
    fields = java_class(_LUCENE + "search.SortField")
    string = java_class(_LUCENE + "search.SortField$Type").STRING
    config = java_class(_LUCENE + "index.IndexWriterConfig")(_analyzer())
    config.setIndexSort(java_class(_LUCENE + "search.Sort")(fields("id", string)))
    config.setRAMBufferSizeMB(_BUFFER_MB)
    return config


def _analyzer() -> Any:
    return java_class("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()


def _directory(folder: Path) -> Any:
    return java_class(_LUCENE + "store.FSDirectory").open(java_class("java.nio.file.Paths").get(str(folder)))


def _write_order(folder: Path, count: int) -> None:
    """Write the passage index (int64) of every document of the index, in the index's order."""
    reader = java_class(_LUCENE + "index.DirectoryReader").open(_directory(folder / "lucene"))
    try:
        values = java_class(_LUCENE + "index.MultiDocValues").getNumericValues(reader, "passage")
        with (folder / "order.bin").open("wb") as file:
            for _ in range(count):
                values.nextDoc()
                file.write(int(values.longValue()).to_bytes(8, "little"))
    finally:
        reader.close()


def index_bytes(folder: Path) -> int:
    """Return the size on disk of an index, ids included."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@one_line()
def search_index(
    folder: Path,
    queries: Iterable[Query],
    run_path: Path,
    k1: float = K1,
    b: float = B,
    k: int = 1000,
    own: Container[str] = (),
) -> Cost:
    """Search the best ``k`` passages of every query and write them as a TREC run file.

    From the rankings of the queries whose ids are in ``own``, the passages with the same ids are left out.

    Scores are strictly decreasing; equal ones are settled by passage id, as Anserini does. A query without a hit has no
    line. Queries are searched one at a time (pyjnius can't be called from two threads), so the cost per query is its
    latency. UserError when ``folder`` holds no index.
    """
    start_jvm()
    searcher = _Searcher(folder, k1, b)
    try:
        write_rankings(run_path, searcher.rankings(queries, k, own), f"bm25-k1={k1:g}-b={b:g}")
    finally:
        searcher.close()
    return Cost(searcher.queries, searcher.seconds)


class _Searcher:
    """An open index; counts the queries searched and the seconds that took."""

    def __init__(self, folder: Path, k1: float, b: float) -> None:
        read_marker(folder, MARKER, KIND)
        self._ids = IdTable(folder)
        self._order = mapped(folder / "order.bin", "<i8")
        self._reader = java_class(_LUCENE + "index.DirectoryReader").open(_directory(folder / "lucene"))
        searchers = java_class(_LUCENE + "search.IndexSearcher")
        searchers.setMaxClauseCount(_ANY_NUMBER)
        self._searcher = searchers(self._reader.getContext())
        self._searcher.setSimilarity(java_class(_LUCENE + "search.similarities.BM25Similarity")(k1, b))
        self._generator = java_class("io.anserini.search.query.BagOfWordsQueryGenerator")()
        self._analyzer = _analyzer()
        self._hits = HitReader()
        self.queries, self.seconds = 0, 0.0

    def close(self) -> None:
        self._reader.close()

    def rankings(
        self, queries: Iterable[Query], k: int, own: Container[str]
    ) -> Iterator[tuple[str, list[str], np.ndarray]]:
        for query in Bar(queries, unit=" queries", desc="BM25 search", disable=None):
            start = time.perf_counter()
            words = self._generator.buildQuery("contents", self._analyzer, query.text)
            documents, scores = self._hits.read(self._searcher.search(words, k + (query.id in own)))
            self.seconds += time.perf_counter() - start
            self.queries += 1
            ids = [self._ids[index] for index in self._order[documents].tolist()]
            kept = [place for place, id in enumerate(ids) if id != query.id or query.id not in own][:k]
            yield query.id, [ids[place] for place in kept], scores[kept]


def tune(
    folder: Path,
    queries: Sequence[Query],
    qrels: Mapping[str, Mapping[str, int]],
    grid: Iterable[tuple[float, float]],
    own: Container[str] = (),
    grade: int = 1,
) -> list[Trial]:
    """Try every (k1, b) of a grid on queries of the validation split; return the trials in the grid's order.

    ``own`` is as in `search_index`, ``grade`` the smallest that counts as relevant. RR@10 needs the first ten passages
    only, which Lucene finds without scoring every match.
    """
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        run_path = Path(scratch) / "trial.run"
        for k1, b in grid:
            search_index(folder, queries, run_path, k1, b, 10, own)
            values = evaluate(run_path, qrels, [counted_from(RR @ 10, grade)])
            trials.append(Trial(k1, b, float(values.iloc[:, 0].mean())))
    return trials
