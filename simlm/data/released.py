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
    trec_dl2019_queries.tsv, trec_dl2019_qrels.txt  TREC DL 2019 judged and, likewise, 2020: further test splits

The test split is dev, which the paper reports. Nothing may be tuned on it, so every 100th train query, by the digest of
its id, is set aside as valid; the released code chose its checkpoints on dev itself.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from simlm.data.archives import Member, members
from simlm.data.ids import digest
from simlm.data.layout import SPLITS, Judgement, PassageRow, QueryRow
from simlm.data.lines import File, id_of, read_bytes, read_lines, read_objects, text_of
from simlm.data.scored import TrainingLine, read_training
from simlm.errors import UserError

ARCHIVE = "msmarco_bm25_official"
PASSAGES, TRAIN, QUERIES, QRELS = FILES = ("passages.jsonl.gz", "train.jsonl", "dev_queries.tsv", "dev_qrels.txt")
TREC_DL = {"trec-dl-2019": "trec_dl2019", "trec-dl-2020": "trec_dl2020"}
"""The further test splits, and what the names of their files begin with."""
OF_SPLIT = {"train": "train", "valid": "train", "test": "dev", **TREC_DL}
WANTED = (
    *FILES,
    *(f"{OF_SPLIT[split]}_{end}" for split in ("train", *TREC_DL) for end in ("queries.tsv", "qrels.txt")),
)
"""What is read where it is there."""
SET_ASIDE = 100


def is_released(folder: Path) -> bool:
    """Whether the released data lies in a folder, packed or not."""
    return (folder / PASSAGES).is_file() or (folder / ARCHIVE).is_dir() or (folder / f"{ARCHIVE}.zip").is_file()


class Released:
    """The rows of these files, read anew at every use; UserError when one of them is missing."""

    name = "SimLM's MS MARCO"
    description = (
        "MS MARCO passages with titles, from the training data released with SimLM. Test is MS MARCO's dev; valid is "
        f"one in {SET_ASIDE} of the training queries, which are set aside."
    )
    source = f"{ARCHIVE} of the Hub's data set intfloat/simlm-msmarco"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = _find(folder)
        self.splits = (*SPLITS, *(split for split in TREC_DL if _queries(split) in self._files))

    def digest(self) -> str:
        """sha256 over the unpacked bytes of the files, the same whether an archive was unpacked or not."""
        whole = hashlib.sha256()
        for name in self._files:
            one = hashlib.sha256()
            for block in read_bytes(self._files[name]):
                one.update(block)
            whole.update(f"{name} {one.hexdigest()}\n".encode())
        return whole.hexdigest()

    def count(self) -> int | None:
        return None

    def passages(self) -> Iterator[PassageRow]:
        """(id, title, text) of every line, whose number must be its id: a lost or repeated line is noticed."""
        path = self._files[PASSAGES]
        for number, row in read_objects(path):
            id = id_of(path, number, row, "id")
            if id != str(number - 1):
                raise UserError(
                    f"{path}:{number}: the id is {id!r} where {number - 1} has to be: a line is missing or comes "
                    "twice; fetch the archive again"
                )
            yield id, text_of(path, number, row, "title"), text_of(path, number, row, "contents")

    def has_titles(self) -> bool:
        return any(title.strip() for _, title, _ in self.passages())

    def queries(self, split: str) -> Iterator[QueryRow]:
        """(id, text) of a split's queries."""
        return ((id, text) for _, id, text in self._numbered(split))

    def qrels(self, split: str) -> Iterator[Judgement]:
        """(query id, passage id, grade): the lines of the split's qrels, or train.jsonl's positives without them."""
        return ((query, passage, grade) for _, query, passage, grade in self._judged(split))

    def negatives(self, split: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Query id and the passages of its negatives, in the file's order; test splits have none."""
        seen: set[int] = set()
        for line in self._training(split):
            if digest(line.query_id) in seen:
                raise UserError(
                    f"{self._files[TRAIN]}:{line.number}: the query id {line.query_id!r} comes twice; keep one of them"
                )
            seen.add(digest(line.query_id))
            yield line.query_id, line.negatives.ids

    def _training(self, split: str) -> Iterator[TrainingLine]:
        """The lines of train.jsonl that are a split's; none are a test split's."""
        for line in read_training(self._files[TRAIN]) if OF_SPLIT[split] == "train" else ():
            if _belongs(line.query_id, split):
                yield line

    def _tables(self, split: str) -> bool:
        """Whether a split has queries and qrels in files of their own, and not in train.jsonl."""
        return _qrels(split) in self._files

    def _numbered(self, split: str) -> Iterator[tuple[int, str, str]]:
        if not self._tables(split):
            yield from ((line.number, line.query_id, line.query) for line in self._training(split))
            return
        for number, (query, text) in _columns(self._files[_queries(split)], ("query id", "text")):
            if _belongs(query, split):
                yield number, query, text

    def _judged(self, split: str) -> Iterator[tuple[int, str, str, int]]:
        if not self._tables(split):
            for line in self._training(split):
                yield from ((line.number, line.query_id, passage, 1) for passage in line.positives.ids)
            return
        path = self._files[_qrels(split)]
        grades: dict[int, int] = {}
        number = 0
        for number, (query, _, passage, label) in _columns(path, ("query id", "iteration", "passage id", "label")):
            if not _belongs(query, split):
                continue
            try:
                grade = int(label)
            except ValueError:
                raise UserError(f"{path}:{number}: the label {label[:40]!r} is no whole number; mend it") from None
            if grades.setdefault(digest(f"{query}\t{passage}"), grade) != grade:
                raise UserError(
                    f"{path}:{number}: query {query!r} and passage {passage!r} have another label further up; "
                    "keep one of them"
                )
            yield number, query, passage, grade
        if not number:
            raise UserError(f"{path}: there is no judgement in it; fetch the archive again")

    def place_of_passage(self, number: int) -> str:
        """File and line of the passage in place ``number`` (from 0)."""
        return f"{self._files[PASSAGES]}:{number + 1}"

    def place_of_query(self, split: str, number: int) -> str:
        """File and line of the split's query in place ``number`` (from 0)."""
        path = self._files[_queries(split) if self._tables(split) else TRAIN]
        lines = (line for place, (line, _, _) in enumerate(self._numbered(split)) if place == number)
        return f"{path}:{next(lines, 0)}"

    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str:
        """File and line of the first qrel of a query, or of its qrel for a passage."""
        path = self._files[_qrels(split) if self._tables(split) else TRAIN]
        lines = (line for line, one, other, _ in self._judged(split) if one == query and passage in (None, other))
        return f"{path}:{next(lines, 0)}"


def _queries(split: str) -> str:
    return f"{OF_SPLIT[split]}_queries.tsv"


def _qrels(split: str) -> str:
    return f"{OF_SPLIT[split]}_qrels.txt"


def _belongs(query: str, split: str) -> bool:
    """Whether a query of the files of a split is the split's: train's are divided between train and valid."""
    return OF_SPLIT[split] != "train" or set_aside(query) == (split == "valid")


def set_aside(query: str) -> bool:
    """Whether a train query, by its id, is one of valid's."""
    return digest(query) % SET_ASIDE == 0


def _find(folder: Path) -> dict[str, File]:
    """The files by name: in the folder, in the unpacked archive below it, or in the archive."""
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
    """The files, none of FILES lacking, and of the others both or none of a split."""
    pairs = [(_queries(split), _qrels(split)) for split in ("train", *TREC_DL)]
    halves = [one for pair in pairs for one in pair if one not in found and not {*pair}.isdisjoint(found)]
    lacking = [name for name in FILES if name not in found] + halves
    if lacking:
        raise UserError(f"{place}: {lacking[0]} is missing; fetch {ARCHIVE}.zip again")
    return found


def _columns(path: File, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line of a file of tabs, with its number."""
    for number, line in read_lines(path):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise UserError(
                f"{path}:{number}: {len(fields)} columns where {len(names)}, separated by tabs, must be: "
                f"{', '.join(names)}; mend this line"
            )
        yield number, fields
