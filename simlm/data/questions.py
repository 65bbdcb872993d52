"""Natural Questions' test: 3,610 questions with their answers, in a plain file.

The file is DPR's nq-test.qa.csv, or what `python -m baselines.questions` writes from Pyserini's topics: a question a
line, a tab, and the list of its answers as JSON or as Python prints it:

    who sings the song i don't care i love it<TAB>['Icona Pop']

Fields may stand in quotation marks, which are doubled inside them, as csv does it. A question's id is the number of its
line, from 0, as in Pyserini.
"""

import ast
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simlm.data.lines import read_bytes, read_lines
from simlm.errors import UserError

NO_FILE = (
    "nq: its test questions are in a file: write Pyserini's with python -m baselines.questions FILE, or fetch DPR's "
    "nq-test.qa.csv, and give it as --collection nq:FILE"
)


class Question(NamedTuple):
    """A question and the texts that answer it."""

    id: str
    text: str
    answers: list[str]


def checked(location: str, digest: str = "") -> Path:
    """The file with the questions; UserError for none, and where it has not that digest any more."""
    if not location:
        raise UserError(NO_FILE)
    path = Path(location)
    if digest and digest_of(path) != digest:
        raise UserError(f"{path}: the file changed since this command began; run it again")
    return path


def digest_of(path: Path) -> str:
    """sha256 of a file's bytes; UserError where it cannot be read."""
    whole = hashlib.sha256()
    for block in read_bytes(path):
        whole.update(block)
    return whole.hexdigest()


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of a file in DPR's format; UserError, with file and line, for a line that is none."""
    number = 0
    for number, line in read_lines(path):
        try:
            fields = next(csv.reader([line], delimiter="\t"), [])
        except csv.Error as error:
            raise UserError(f"{path}:{number}: this line is no row of a csv file ({error}); mend it") from None
        if len(fields) != 2:
            raise UserError(
                f"{path}:{number}: {len(fields)} columns where a question and the list of its answers, separated by a "
                "tab, must be; mend this line"
            )
        answers = _list(fields[1])
        if not answers:
            raise UserError(f'{path}:{number}: {fields[1][:40]!r} is no list of answers, as ["one", "two"]; mend it')
        yield Question(str(number - 1), fields[0], answers)
    if not number:
        raise UserError(f"{path}: there is no question in it; give DPR's nq-test.qa.csv")


def _list(text: str) -> list[str]:
    """The texts of a list, written as JSON or as Python prints it; [] for anything else."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return []
