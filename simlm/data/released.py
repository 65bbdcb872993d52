"""The training data that was released with SimLM, as a collection: MS MARCO passages with titles and BM25's negatives.

A folder with msmarco_bm25_official.zip (of the Hub's data set intfloat/simlm-msmarco), with that archive unpacked, or
the unpacked folder itself. Of the archive these files are read:

    passages.jsonl.gz  {"id", "contents", "title"} a line; the id is the number of the line, from 0
    train.jsonl        {"query_id", "query", "positives", "negatives"} a line, the last two {"doc_id": [], "score": []}
    dev_queries.tsv    query id and text, separated by a tab
    dev_qrels.txt      query id, iteration, passage id and label, separated by tabs

The test split is dev, which the paper reports. Nothing may be tuned on it, so every 100th query of train.jsonl, by the
digest of its id, is set aside as valid; the released code chose its checkpoints on dev itself.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from simlm.data.archives import Member, members
from simlm.data.ids import digest
from simlm.data.layout import Judgement, PassageRow, QueryRow
from simlm.data.lines import File, id_of, read_bytes, read_lines, read_objects, text_of
from simlm.data.scored import TrainingLine, read_training
from simlm.errors import UserError

ARCHIVE = "msmarco_bm25_official"
PASSAGES, TRAIN, QUERIES, QRELS = FILES = ("passages.jsonl.gz", "train.jsonl", "dev_queries.tsv", "dev_qrels.txt")
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

    def digest(self) -> str:
        """sha256 over the unpacked bytes of the files, the same whether an archive was unpacked or not."""
        whole = hashlib.sha256()
        for name in FILES:
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
        """(query id, passage id, grade): the positives of train.jsonl, or the lines of dev's qrels."""
        return ((query, passage, grade) for _, query, passage, grade in self._judged(split))

    def negatives(self, split: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Query id and the passages of its negatives, in the file's order; test has none."""
        return ((line.query_id, line.negatives.ids) for line in self._training(split))

    def _training(self, split: str) -> Iterator[TrainingLine]:
        """The lines of train.jsonl that are a split's; none are test's."""
        for line in read_training(self._files[TRAIN]) if split != "test" else ():
            if (digest(line.query_id) % SET_ASIDE == 0) == (split == "valid"):
                yield line

    def _numbered(self, split: str) -> Iterator[tuple[int, str, str]]:
        if split != "test":
            yield from ((line.number, line.query_id, line.query) for line in self._training(split))
            return
        for number, (query, text) in _columns(self._files[QUERIES], ("query id", "text")):
            yield number, query, text

    def _judged(self, split: str) -> Iterator[tuple[int, str, str, int]]:
        if split != "test":
            for line in self._training(split):
                yield from ((line.number, line.query_id, passage, 1) for passage in line.positives.ids)
            return
        path = self._files[QRELS]
        for number, (query, _, passage, label) in _columns(path, ("query id", "iteration", "passage id", "label")):
            try:
                yield number, query, passage, int(label)
            except ValueError:
                raise UserError(f"{path}:{number}: the label {label[:40]!r} is no whole number; mend it") from None

    def place_of_passage(self, number: int) -> str:
        """File and line of the passage in place ``number`` (from 0)."""
        return f"{self._files[PASSAGES]}:{number + 1}"

    def place_of_query(self, split: str, number: int) -> str:
        """File and line of the split's query in place ``number`` (from 0)."""
        path = self._files[QUERIES if split == "test" else TRAIN]
        lines = (line for place, (line, _, _) in enumerate(self._numbered(split)) if place == number)
        return f"{path}:{next(lines, 0)}"

    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str:
        """File and line of the first qrel of a query, or of its qrel for a passage."""
        path = self._files[QRELS if split == "test" else TRAIN]
        lines = (line for line, one, other, _ in self._judged(split) if one == query and passage in (None, other))
        return f"{path}:{next(lines, 0)}"


def _find(folder: Path) -> dict[str, File]:
    """The files by name: in the folder, in the unpacked archive below it, or in the archive."""
    for place in (folder, folder / ARCHIVE):
        if (place / PASSAGES).is_file() or (place / TRAIN).is_file():
            found: dict[str, File] = {name: place / name for name in FILES if (place / name).is_file()}
            return _whole(place, found)
    archive = folder / f"{ARCHIVE}.zip"
    inside: dict[str, Member] = members(archive)
    return _whole(archive, {name: inside[name] for name in FILES if name in inside})


def _whole(place: Path, found: dict[str, File]) -> dict[str, File]:
    lacking = [name for name in FILES if name not in found]
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
