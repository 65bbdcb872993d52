"""The folder of an export: there when it is whole, and replaced only by a later export."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simlm.errors import UserError
from simlm.files import atomic_folder, check_replaceable, read_marker

MARKER = "simlm-export.json"
KIND = "simlm export 1"


@contextmanager
def export_folder(folder: Path, origin: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder`` when the block ends without an error.

    The file ``MARKER``, written last, names every file with its size, and says what the export was made from. One
    writer at a time: the caller holds a lock.

    Args:
        folder: What is made; an earlier export there is replaced.
        origin: What it was made from: JSON without times or places.

    Raises:
        UserError: As for `check_target`, or the folder cannot be written.
    """
    check_target(folder)
    try:
        with atomic_folder(folder, MARKER) as partial:
            yield partial
            content = {"format": KIND, "origin": dict(origin), "files": sizes(partial)}
            (partial / MARKER).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
        raise UserError(f"{reason}; free some space, or export to another folder") from error


def check_target(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier export, as it was written."""
    check_replaceable(folder, MARKER)
    if not (folder / MARKER).exists():
        return
    known = read_marker(folder, MARKER, KIND).get("files", {})
    found = sizes(folder)
    for name in sorted(set(found) - {MARKER}):
        if known.get(name) != found[name]:
            raise UserError(
                f"{folder / name} is not as an earlier export left it: move it away, or choose another folder"
            )


def sizes(folder: Path) -> dict[str, int]:
    """Return {relative path: bytes} of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
