"""A command line as options, and how a command ends: each mistake is one line, and the exit status says its kind."""

import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from itertools import dropwhile, takewhile
from typing import Any, TypeVar

import tyro

from simlm.errors import UserError
from simlm.stopping import exit_status, stoppable
from simlm.workflow.scheduler import StageFailed

T = TypeVar("T")
RULES = ("─", "---")


def parse(kind: type[T], description: str, **options: Any) -> T:
    """Return the options of a class that the command line gives. ``--help`` ends the process here.

    Args:
        kind: a dataclass, a field for each option.
        description: the text of ``--help`` above the options.
        options: further arguments for ``tyro.cli``.

    Raises:
        UserError: the command line cannot be read.
    """
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


def leave_by(work: Callable[[], None]) -> None:
    """Do the work, and leave with 0, 1 (a stage failed), 2 (a user's mistake) or as `exit_status` says (Ctrl-C, ...).

    Each but 0 comes with one line.
    """
    try:
        with stoppable():
            work()
    except UserError as error:
        sys.exit(_say(f"error: {error}", 2))
    except StageFailed as error:
        sys.exit(_say(f"failed: {error}", 1))
    except KeyboardInterrupt as stopped:
        sys.exit(_say("stopped; the same command goes on from the last checkpoints", exit_status(stopped)))


def _sentence(box: str) -> str:
    """Return what tyro says first in the box that it draws, before the rule above its explanations of options.

    Where the terminal's encoding is ASCII, the box is drawn with dashes, and has a rule below its title too.
    """
    lines = [line.strip("╭╮╰╯│ ") for line in box.splitlines()[1:]]
    said = takewhile(_is_text, dropwhile(lambda line: not _is_text(line), lines))
    return " ".join(said).removesuffix(".") or "the command line cannot be read"


def _is_text(line: str) -> bool:
    return not line.startswith(RULES)


def _say(line: str, status: int) -> int:
    print(" ".join(line.splitlines()), file=sys.stderr)
    return status
