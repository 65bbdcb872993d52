"""The training data that was released with SimLM, as a collection: MS MARCO passages with titles and BM25's negatives.

A folder with msmarco_bm25_official.zip (of the Hub's data set intfloat/simlm-msmarco), with that archive unpacked, or
the unpacked folder itself. Of the archive these files are read:

    passages.jsonl.gz  {"id", "contents", "title"} a line; the id is the number of the line, from 0
    train.jsonl        {"query_id", "query", "positives", "negatives"} a line, the last two {"doc_id": [], "score": []}
    dev_queries.tsv    query id and text, separated by a tab
    dev_qrels.txt      query id, iteration, passage id and label, separated by tabs

and, in the same two formats where they are there:

    train_queries.tsv, train_qrels.txt              all train queries: train.jsonl lacks those without an official
                                                    negative, which have none here either
    trec_dl2019_queries.tsv, trec_dl2019_qrels.txt  TREC DL 2019 judged and, likewise, 2020: extra test splits

The test split is dev, which the paper reports. Nothing may be tuned on it, so some train queries are set aside as valid
(`simlm.data.collection.set_aside`); the released code chose its checkpoints on dev itself.

Beside this data the archives hold what SimLM's authors retrieved and scored, under the name of the split. It is read
for comparisons only:

    msmarco_bm25_official   dev.msmarco.txt         BM25's run
    msmarco_reranker        dev.msmarco.txt         Retriever2's run, whose top the re-ranker re-ranks
                            rerank.dev.msmarco.txt  the re-ranked run, which the authors' scripts/rerank_marco.sh writes
    msmarco_distillation    kd_dev.jsonl            the re-ranker's logits for dev's positives and negatives
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simlm.data.catalogue import MSMARCO, SIMLM_ARCHIVE
from simlm.data.collection import SPLITS, Judgement, Passage, Query, set_aside
from simlm.data.ids import text_key
from simlm.data.readers import (
    File,
    Member,
    digest_of,
    id_of,
    members,
    read_columns,
    read_objects,
    text_of,
    whole_number,
)
from simlm.data.released_lists import TrainingLine, read_training
from simlm.errors import UserError
from simlm.paths import instead

ARCHIVE = SIMLM_ARCHIVE.file.removesuffix(".zip")
RERANKER, DISTILLATION = "msmarco_reranker", "msmarco_distillation"
"""The archives of the later stages' training data, in the same data set."""
PASSAGES, TRAIN, QUERIES, QRELS = FILES = ("passages.jsonl.gz", "train.jsonl", "dev_queries.tsv", "dev_qrels.txt")
RELEASED_NAMES = {
    "train": "train",
    "valid": "train",
    "test": "dev",
    "trec-dl-2019": "trec_dl2019",
    "trec-dl-2020": "trec_dl2020",
}
"""What the names of a split's files begin with."""
EXTRA = tuple(MSMARCO.extra_test_splits)
WANTED = (
    *FILES,
    *(f"{RELEASED_NAMES[split]}_{end}" for split in ("train", *EXTRA) for end in ("queries.tsv", "qrels.txt")),
)
"""What is read where it is there."""


def is_released(folder: Path) -> bool:
    """Return whether the released data lies in a folder, packed or not."""
    return (folder / PASSAGES).is_file() or (folder / ARCHIVE).is_dir() or (folder / f"{ARCHIVE}.zip").is_file()


class ReleasedArchive:
    """The rows of these files, read anew at every use; UserError when one of them is missing."""

    name = lasting_name = "SimLM's MS MARCO"
    description = MSMARCO.description
    source = f"{ARCHIVE} of the Hub's data set {SIMLM_ARCHIVE.repository}"
    has_negatives = True
    relevant_from = MSMARCO.extra_test_splits

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = _find(folder)
        self.splits = (*SPLITS, *(split for split in EXTRA if _queries(split) in self._files))

    def digest(self) -> str:
        """Return a sha256 over the unpacked bytes of the files, the same whether the archive was unpacked or not."""
        lines = (f"{name} {digest_of(file)}\n" for name, file in self._files.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def count(self) -> int | None:
        """Return None: only unpacking would tell."""
        return None

    def passages(self) -> Iterator[Passage]:
        """Yield the passage of every line, whose number must be its id: a lost or repeated line is noticed."""
        path = self._files[PASSAGES]
        for number, row in read_objects(path):
            id = id_of(path, number, row, "id")
            if id != str(number - 1):
                raise UserError(
                    f"{path}:{number}: the id is {id!r} where {number - 1} has to be: a line is missing or comes "
                    "twice; fetch the archive again"
                )
            yield Passage(id, text_of(path, number, row, "title"), text_of(path, number, row, "contents"))

    def has_titles(self) -> bool:
        """Return whether any passage has a title: stops at the first one."""
        return any(passage.title.strip() for passage in self.passages())

    def queries(self, split: str) -> Iterator[Query]:
        """Yield a split's queries."""
        return (query for _, query in self._numbered_queries(split))

    def qrels(self, split: str) -> Iterator[Judgement]:
        """Yield the lines of the split's qrels, or train.jsonl's positives where there are none."""
        return (judgement for _, judgement in self._numbered_qrels(split))

    def negatives(self, split: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield query ids and the passages of their negatives, in the file's order; test splits have none."""
        seen: set[int] = set()
        for line in self._training(split):
            if text_key(line.query_id) in seen:
                raise UserError(
                    f"{self._files[TRAIN]}:{line.number}: the query id {line.query_id!r} comes twice; keep one of them"
                )
            seen.add(text_key(line.query_id))
            yield line.query_id, line.negatives.ids

    def place_of_passage(self, number: int) -> str:
        """Return the file and the line of a passage; ``number`` counts passages from 0."""
        return f"{self._files[PASSAGES]}:{number + 1}"

    def place_of_query(self, split: str, number: int) -> str:
        """Return file and line of the split's query in place ``number`` (from 0)."""
        path = self._files[_queries(split) if self._has_tables(split) else TRAIN]
        lines = (line for place, (line, _) in enumerate(self._numbered_queries(split)) if place == number)
        return f"{path}:{next(lines, 0)}"

    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str:
        """Return file and line of the first qrel of a query, or of its qrel for a passage."""
        path = self._files[_qrels(split) if self._has_tables(split) else TRAIN]
        found = (
            line for line, one in self._numbered_qrels(split) if one.query == query and passage in (None, one.passage)
        )
        return f"{path}:{next(found, 0)}"

    def _has_tables(self, split: str) -> bool:
        """Return whether a split has queries and qrels in files of their own, and not in train.jsonl."""
        return _qrels(split) in self._files

    def _training(self, split: str) -> Iterator[TrainingLine]:
        """Yield the lines of train.jsonl that are a split's; none are a test split's."""
        for line in read_training(self._files[TRAIN]) if RELEASED_NAMES[split] == "train" else ():
            if _belongs(line.query_id, split):
                yield line

    def _numbered_queries(self, split: str) -> Iterator[tuple[int, Query]]:
        if not self._has_tables(split):
            yield from ((line.number, Query(line.query_id, line.query)) for line in self._training(split))
            return
        for number, (query, text) in read_columns(self._files[_queries(split)], ("query id", "text")):
            if _belongs(query, split):
                yield number, Query(query, text)

    def _numbered_qrels(self, split: str) -> Iterator[tuple[int, Judgement]]:
        if not self._has_tables(split):
            for line in self._training(split):
                yield from ((line.number, Judgement(line.query_id, id, 1)) for id in line.positives.ids)
            return
        path = self._files[_qrels(split)]
        grades: dict[int, int] = {}
        number = 0
        for number, (query, _, passage, label) in read_columns(path, ("query id", "iteration", "passage id", "label")):
            if not _belongs(query, split):
                continue
            try:
                grade = whole_number(label)
            except ValueError:
                raise UserError(f"{path}:{number}: the label {label[:40]!r} is no whole number; mend it") from None
            if grades.setdefault(text_key(f"{query}\t{passage}"), grade) != grade:
                raise UserError(
                    f"{path}:{number}: query {query!r} and passage {passage!r} have another label further up; "
                    "keep one of them"
                )
            yield number, Judgement(query, passage, grade)
        if not number:
            raise UserError(f"{path}: there is no judgement in it; fetch the archive again")


def _queries(split: str) -> str:
    return f"{RELEASED_NAMES[split]}_queries.tsv"


def _qrels(split: str) -> str:
    return f"{RELEASED_NAMES[split]}_qrels.txt"


def _belongs(query: str, split: str) -> bool:
    """Return whether a query of a split's files is the split's: train's are divided between train and valid."""
    return RELEASED_NAMES[split] != "train" or set_aside(query) == (split == "valid")


def _find(folder: Path) -> dict[str, File]:
    """Return the files by name: in the folder, in the unpacked archive below it, or in the archive."""
    for place in (folder, folder / ARCHIVE):
        if (place / PASSAGES).is_file() or (place / TRAIN).is_file():
            found: dict[str, File] = {name: place / name for name in WANTED if (place / name).is_file()}
            return _whole(place, found)
    archive = folder / f"{ARCHIVE}.zip"
    if not archive.is_file():
        return _whole(folder / ARCHIVE, {})
    inside: dict[str, Member] = members(archive, WANTED)
    return _whole(archive, {name: inside[name] for name in WANTED if name in inside})


def _whole(place: Path, found: dict[str, File]) -> dict[str, File]:
    """Return the files; UserError where one of FILES lacks, or one of a split's two other files."""
    pairs = [(_queries(split), _qrels(split)) for split in ("train", *EXTRA)]
    halves = [one for pair in pairs for one in pair if one not in found and not {*pair}.isdisjoint(found)]
    lacking = [name for name in FILES if name not in found] + halves
    if lacking:
        raise UserError(f"{place}: {lacking[0]} {_instead(place, lacking[0])}; fetch {ARCHIVE}.zip again")
    return found


def _instead(place: Path, name: str) -> str:
    return instead(place / name) if place.is_dir() else "is missing"


class AuthorsRun(NamedTuple):
    """One of the authors' runs: the archive that it is in, and what its files' names begin with."""

    archive: str
    begins: str = ""

    def file_of(self, split: str) -> str:
        """Return its file's name for a split."""
        return f"{self.begins}{RELEASED_NAMES[split]}.msmarco.txt"


AUTHORS_BM25 = AuthorsRun(ARCHIVE)
AUTHORS_RETRIEVER2 = AuthorsRun(RERANKER)
AUTHORS_RERANKED = AuthorsRun(RERANKER, "rerank.")


def authors_run(folder: Path, split: str, run: AuthorsRun) -> File | None:
    """Return a run of the authors' in the folder of the released archives, packed or not; None without one."""
    return _authors_file(folder, run.archive, run.file_of(split))


def authors_scores(folder: Path, split: str) -> File | None:
    """Return the authors' teacher scores of a split's lists, found likewise."""
    return _authors_file(folder, DISTILLATION, f"kd_{RELEASED_NAMES[split]}.jsonl")


def _authors_file(folder: Path, archive: str, name: str) -> File | None:
    if (folder / PASSAGES).is_file() or (folder / TRAIN).is_file():  # the first archive itself, unpacked
        if archive == ARCHIVE:
            return folder / name if (folder / name).is_file() else None
        folder = folder.parent
    if (folder / archive / name).is_file():
        return folder / archive / name
    packed = folder / f"{archive}.zip"
    return members(packed, (name,)).get(name) if packed.is_file() else None
