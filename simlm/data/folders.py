"""Folders that are either whole or not there."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simlm.errors import UserError


@contextmanager
def whole_folder(folder: Path, marker: str) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` and renames it to `folder` when the block ends without an
    error.

    A killed block leaves `<folder>.partial`, which the next attempt removes. An existing folder is replaced
    when it is empty or holds a file `marker`, the sign of an earlier build; any other one is a UserError. One
    writer at a time: the caller holds the lock.
    """
    folder = folder.absolute()
    check_replaceable(folder, marker)
    partial = folder.with_name(folder.name + ".partial")
    _remove(partial)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write {partial}: {error.strerror}; choose a folder that can be written") from None
    try:
        yield partial
    except BaseException:
        _remove(partial)
        raise
    _remove(folder)
    os.replace(partial, folder)


def check_replaceable(folder: Path, marker: str) -> None:
    """UserError when `whole_folder` would refuse to put something at `folder`."""
    if folder.exists() and not (folder / marker).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and holds no {marker}: move it away or choose another folder")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def read_marker(folder: Path, marker: str, kind: str) -> dict[str, Any]:
    """The JSON object in `folder`/`marker`; UserError when it does not say that the folder is a `kind`."""
    try:
        meta = json.loads((folder / marker).read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{folder} is no {kind}: it has no readable {marker}; build it again") from None
    except ValueError:
        raise UserError(f"{folder / marker} is no JSON: delete {folder} and build it again") from None
    if not isinstance(meta, dict) or meta.get("format") != kind:
        raise UserError(f"{folder / marker} does not describe a {kind}: delete {folder} and build it again")
    return meta
