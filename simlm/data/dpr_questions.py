"""Questions with their answers in a plain file of DPR's format: Natural Questions' test, 3,610 of them.

The file is DPR's nq-test.qa.csv, or what `python -m baselines.questions` writes from Pyserini's topics: a question a
line, a tab, and the list of its answers as JSON or as Python prints it:

    who sings the song i don't care i love it<TAB>['Icona Pop']

Fields may stand in quotation marks, which are doubled inside them, as csv does it. A question's id is the number of its
line, from 0, as in Pyserini.
"""

import ast
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simlm.data.readers import read_lines
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


def read_questions(path: Path) -> Iterator[Question]:
    """Yield the questions of a file; UserError, with file and line, for a line that is none."""
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
    """Return the texts of a list, written as JSON or as Python prints it; [] for anything else."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return []
