"""A folder in BEIR's layout (Thakur et al., NeurIPS 2021 Datasets and Benchmarks): a collection of your own.

    corpus.jsonl     a passage a line: {"_id": "...", "title": "...", "text": "..."}; "title" may be missing
    queries.jsonl    a query a line: {"_id": "...", "text": "..."}, those of all splits
    qrels/train.tsv  query-id, corpus-id and score, separated by tabs, below a line with these names;
    qrels/dev.tsv    also under the name valid.tsv
    qrels/test.tsv

Both .jsonl files may be gzipped (.jsonl.gz). A split has the queries that its qrels name, in the order of
queries.jsonl. Everything is streamed: of a split's qrels the memory holds the query ids, and 8 bytes a line.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from simlm.data.collection import SPLITS, Judgement, Passage, Query
from simlm.data.ids import text_key
from simlm.data.readers import digest_of, id_of, read_lines, read_objects, text_of, whole_number
from simlm.errors import UserError
from simlm.paths import instead, name_of

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
COLUMNS = ("query-id", "corpus-id", "score")
QRELS = {"train": ("train.tsv",), "valid": ("dev.tsv", "valid.tsv"), "test": ("test.tsv",)}
"""The names of each split's qrels."""
PURPOSE = {
    "train": "its queries are what retrievers and re-rankers are trained on",
    "valid": "on its queries BM25 and the fusion are tuned and checkpoints chosen, so that nothing is tuned on test",
    "test": "its queries are what the report measures",
}


def is_beir(folder: Path) -> bool:
    """Return whether a folder has a corpus in this layout; what else it lacks is then an error of this layout."""
    return any((folder / name).is_file() for name in (CORPUS, f"{CORPUS}.gz"))


class BeirFolder:
    """The rows of a folder in this layout, read anew at every use; UserError when a file of it is missing."""

    description = "A collection of your own, a folder in BEIR's layout."
    source = lasting_name = "a folder in BEIR's layout"
    splits: tuple[str, ...] = SPLITS
    has_negatives = False
    relevant_from: Mapping[str, int] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = name_of(folder)
        self._corpus = _only(folder, CORPUS, f"{CORPUS}.gz", why="its passages are what is searched")
        self._queries = _only(folder, QUERIES, f"{QUERIES}.gz", why="it has the text of every query")
        self._qrels = {split: _only(folder / "qrels", *QRELS[split], why=PURPOSE[split]) for split in QRELS}

    def digest(self) -> str:
        """Return a sha256 over the bytes of all files, each after the part it plays; where they lie does not count."""
        files = {"corpus": self._corpus, "queries": self._queries, **self._qrels}
        whole = hashlib.sha256()
        for part, path in files.items():
            whole.update(f"{part}{'.gz' if path.suffix == '.gz' else ''} {digest_of(path)}\n".encode())
        return whole.hexdigest()

    def count(self) -> int | None:
        """Return the number of lines of the corpus; None where it is gzipped."""
        return None if self._corpus.suffix == ".gz" else sum(1 for _ in read_lines(self._corpus))

    def passages(self) -> Iterator[Passage]:
        """Yield the passage of every line of the corpus; a title that is missing or null is empty."""
        for number, row in read_objects(self._corpus):
            title = "" if row.get("title") is None else text_of(self._corpus, number, row, "title")
            id = id_of(self._corpus, number, row, "_id")
            yield Passage(id, title, text_of(self._corpus, number, row, "text"))

    def has_titles(self) -> bool:
        """Return whether any passage has a title: stops at the first one."""
        return any(passage.title.strip() for passage in self.passages())

    def queries(self, split: str) -> Iterator[Query]:
        """Yield the queries that the split's qrels name."""
        return (query for _, query in self._numbered_queries(split))

    def _numbered_queries(self, split: str) -> Iterator[tuple[int, Query]]:
        named = {judgement.query for judgement in self.qrels(split)}
        for number, row in read_objects(self._queries):
            id = id_of(self._queries, number, row, "_id")
            if id in named:
                yield number, Query(id, text_of(self._queries, number, row, "text"))

    def qrels(self, split: str) -> Iterator[Judgement]:
        """Yield the judgement of every line."""
        return (judgement for _, judgement in self._numbered_qrels(split))

    def negatives(self, split: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield nothing: no negatives come with this layout."""
        return iter(())

    def _numbered_qrels(self, split: str) -> Iterator[tuple[int, Judgement]]:
        path = self._qrels[split]
        grades: dict[int, int] = {}
        number = 0
        for number, line in read_lines(path):
            fields = line.split("\t")
            if number == 1:
                if tuple(fields) != COLUMNS:
                    raise UserError(
                        f"{path}:1: the first line must name the columns {', '.join(COLUMNS)}, separated by tabs, "
                        f"and reads {line[:80]!r}; add or mend it"
                    )
                continue
            if len(fields) != len(COLUMNS):
                raise UserError(
                    f"{path}:{number}: {len(fields)} columns where {len(COLUMNS)}, separated by tabs, must be: "
                    f"{', '.join(COLUMNS)}; mend this line"
                )
            query, passage, score = fields
            try:
                grade = whole_number(score)
            except ValueError:
                raise UserError(f"{path}:{number}: the score {score[:40]!r} is no whole number; mend it") from None
            pair = text_key(f"{query}\t{passage}")
            if grades.setdefault(pair, grade) != grade:
                raise UserError(
                    f"{path}:{number}: query {query!r} and passage {passage!r} have another score further up; "
                    "keep one of them"
                )
            yield number, Judgement(query, passage, grade)
        if number < 2:
            raise UserError(f"{path}: there is no judgement in it; {PURPOSE[split]}")

    def place_of_passage(self, number: int) -> str:
        """Return file and line of the passage in place ``number`` (from 0)."""
        return f"{self._corpus}:{number + 1}"

    def place_of_query(self, split: str, number: int) -> str:
        """Return file and line of the split's query in place ``number`` (from 0)."""
        for place, (line, _) in enumerate(self._numbered_queries(split)):
            if place == number:
                return f"{self._queries}:{line}"
        return str(self._queries)

    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str:
        """Return file and line of the first qrel of a query, or of its qrel for a passage."""
        for line, one in self._numbered_qrels(split):
            if one.query == query and passage in (None, one.passage):
                return f"{self._qrels[split]}:{line}"
        return str(self._qrels[split])


def _only(folder: Path, *names: str, why: str) -> Path:
    """Return the one file among names that mean the same. UserError for none, with ``why`` it is needed, or for two."""
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        at = next((folder / name for name in names if os.path.lexists(folder / name)), folder / names[0])
        raise UserError(f"{at} {instead(at)}: {why}; add it{_or(names[1:])}")
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1].name} mean the same: keep one of them")
    return found[0]


def _or(names: tuple[str, ...]) -> str:
    return f" (or {', '.join(names)})" if names else ""
