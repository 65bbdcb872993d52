"""A command line as options, whose mistakes are one line each."""

import sys
from contextlib import redirect_stderr
from dataclasses import fields, replace
from io import StringIO
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, TypeVar

import tyro

from simlm.errors import UserError
from simlm.paths import whole

T = TypeVar("T")
RULES = ("─", "---")


def parse(kind: type[T], description: str, **options: Any) -> T:
    """Return the options of a class that the command line gives, with whole paths. ``--help`` ends the process here.

    Args:
        kind: a dataclass, a field for each option, or several as subcommands.
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
    return _with_whole_paths(found)


def _with_whole_paths(options: Any) -> Any:
    paths: dict[str, Path | tuple[Path, ...]] = {}
    for one in fields(options):
        option, value = f"--{one.name.replace('_', '-')}", getattr(options, one.name)
        if isinstance(value, Path):
            paths[one.name] = whole(option, value)
        elif isinstance(value, tuple) and all(isinstance(path, Path) for path in value):
            paths[one.name] = tuple(whole(option, path) for path in value)
    return replace(options, **paths)


def _sentence(box: str) -> str:
    """Return what tyro says first in the box that it draws, before the rule above its explanations of options.

    Where the terminal's encoding is ASCII, the box is drawn with dashes, and has a rule below its title too.
    """
    lines = [line.strip("╭╮╰╯│ ") for line in box.splitlines()[1:]]
    said = takewhile(_is_text, dropwhile(lambda line: not _is_text(line), lines))
    return " ".join(said).removesuffix(".") or "the command line cannot be read"


def _is_text(line: str) -> bool:
    return not line.startswith(RULES)
