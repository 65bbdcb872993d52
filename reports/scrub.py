"""Takes absolute paths out of what a report says: they name people and machines, and help nobody else."""

import os
import re
import sys
import tempfile
from pathlib import Path, PurePath
from typing import Any

_PART = r"[^\s/\\\"'<>|,;:()\[\]{}]+"
# A path starts where no word, dot or slash runs into its first slash ("and/or", "../x" and "https://x" are
# none) or right after an option of one letter (-I/usr/include), and ends at a space. So does a file: address.
_POSIX = re.compile(
    r"(?:file:/+|(?<![\w./~:])/+|(?<=:)/(?!/)|(?:(?<=^-[A-Za-z])|(?<=\s-[A-Za-z]))/+)"
    rf"{_PART}(?:/+{_PART})*/*"
)
_WINDOWS = re.compile(r"(?<![A-Za-z])[A-Za-z]:[\\/][^\s\"'<>|,;()\[\]{}]*|\\\\[^\s\"'<>|,;()\[\]{}]+")


def scrub(value: Any) -> Any:
    """`value` with every absolute path in it cut to its last part, in dict keys and nested values as well.

    Paths become text, tuples become lists, and what is no text, container or path stays as it is. Web
    addresses and relative paths stay.
    """
    if isinstance(value, PurePath):
        return _scrub_text(str(value))
    if isinstance(value, str):
        return _scrub_text(value)
    if isinstance(value, dict):
        return {scrub(key): scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    return value


def _scrub_text(text: str) -> str:
    for folder in _known_folders():
        # these can hold spaces, after which the pattern alone would stop
        text = re.sub(re.escape(folder) + r"(?![\w.-])", lambda match: "/" + Path(match[0]).name.split()[-1], text)
    text = _WINDOWS.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], text)
    return _POSIX.sub(lambda match: match[0].rstrip("/").rsplit("/", 1)[-1], text)


def _known_folders() -> list[str]:
    """This machine's own folders, the longest first."""
    folders = {os.getcwd(), str(Path.home()), tempfile.gettempdir(), sys.prefix, sys.base_prefix}
    return sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)
