"""A command line as options; what it cannot be gets one line, as every mistake does."""

import sys
from contextlib import redirect_stderr
from io import StringIO
from typing import Any, TypeVar

import tyro

from simlm.errors import UserError

T = TypeVar("T")
RULE = "─"


def parse(kind: type[T], description: str, **options: Any) -> T:
    """The options of that kind that the command line gives; UserError where it gives none. ``--help`` ends here."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            found = tyro.cli(kind, description=description, **options)
    except SystemExit as left:
        if not left.code:
            raise
        raise UserError(f"{_sentence(said.getvalue())}; --help lists every option") from None
    print(said.getvalue(), end="", file=sys.stderr)
    return found


def _sentence(box: str) -> str:
    """What tyro says first in the box that it draws; explanations of options follow below a rule."""
    lines = []
    for line in (line.strip("╭╮╰╯│ ") for line in box.splitlines()[1:]):
        if line.startswith(RULE):
            break
        lines.append(line)
    return " ".join(lines).removesuffix(".") or "the command line cannot be read"
