"""A command line as options; what it cannot be gets one line, as every mistake does."""

import sys
from contextlib import redirect_stderr
from io import StringIO
from itertools import dropwhile, takewhile
from typing import Any, TypeVar

import tyro

from simlm.errors import UserError

T = TypeVar("T")
RULES = ("─", "---")


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
    """Return what tyro says first in the box that it draws, before the rule above its explanations of options.

    Where the terminal's encoding is ASCII, the box is drawn with dashes, and has a rule below its title too.
    """
    lines = [line.strip("╭╮╰╯│ ") for line in box.splitlines()[1:]]
    said = takewhile(_is_text, dropwhile(lambda line: not _is_text(line), lines))
    return " ".join(said).removesuffix(".") or "the command line cannot be read"


def _is_text(line: str) -> bool:
    return not line.startswith(RULES)
