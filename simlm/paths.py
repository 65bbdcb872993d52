"""Paths and other words as users give them: refused where the system cannot take them, and then whole."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from simlm.errors import UserError

LONGEST = 3_700
"""Bytes of a path: Linux takes 4,095, and what is written below a folder needs some."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
KINDS = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
CACHES = ("IR_DATASETS_HOME", "IR_DATASETS_TMP", "HF_HOME", "HF_HUB_CACHE", "PYSERINI_CACHE")
"""Environment variables that name the folders in which libraries keep what they fetch."""


def make_caches_absolute() -> None:
    """Spell these folders from the root: every stage runs in a folder of its own."""
    for name in CACHES:
        if folder := os.environ.get(name):
            os.environ[name] = os.path.abspath(os.path.expanduser(folder))


def check_words(words: Sequence[str]) -> None:
    """Refuse a command line with an option that is given as an empty text, or with a word that is not UTF-8."""
    option = "the command line"
    for word in words:
        option = word.partition("=")[0] if word.startswith("--") else option
        if not word or word == f"{option}=":
            raise UserError(f"{option}: an empty text is given; name something, or leave the option out")
        _check_utf8(option, word)


def whole(option: str, path: Path) -> Path:
    """Return a path as it is on the disk, from the root, without links and `..`; nothing need lie there yet.

    Raises:
        UserError: A link on the way leads to nothing or to itself, or the system can have no such path.
    """
    full = path.absolute()
    _check_utf8(option, str(full))
    existing = next(one for one in (full, *full.parents) if os.path.lexists(one))
    try:
        os.stat(existing)
    except FileNotFoundError:
        raise UserError(f"{option} {path}: {existing} is a link to nothing; choose a folder") from None
    except PermissionError:
        pass  # what is done with it says so
    except OSError as error:
        raise UserError(f"{option} {path}: {existing}: {error.strerror}; choose another") from None
    for name in full.relative_to(existing).parts:
        try:
            os.lstat(existing / name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except OSError as error:
            raise UserError(f"{option} {path}: {error.strerror}; choose another folder") from None
    found = os.path.realpath(full)
    if len(os.fsencode(found)) > LONGEST:
        raise UserError(f"{option} {path}: a path of more than {LONGEST:,} bytes is too long; choose another folder")
    _check_utf8(option, found)
    return Path(found)


def _check_utf8(option: str, text: str) -> None:
    # Stages' scripts and records are UTF-8 in every locale, and their readers look for what these say.
    if os.fsencode(text) != text.encode(errors="replace"):
        raise UserError(f"{option}: {text!a} is not UTF-8; choose another name, or a locale of UTF-8 (LC_ALL=C.UTF-8)")


def instead(path: Path) -> str:
    """Say what lies at a path where something else has to be: "is missing", "is a FIFO", "is a link to nothing"."""
    try:
        return f"is {KINDS.get(stat.S_IFMT(path.stat().st_mode), 'a device')}"
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def name_of(folder: Path) -> str:
    """Return a folder's name as one line of text, without line breaks and other control characters."""
    return " ".join(CONTROL.sub(" ", folder.name).split())


def shown(path: Path) -> str:
    """Return a path as people read it: from the working folder where it lies below that."""
    here = Path(os.path.realpath(os.curdir))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
