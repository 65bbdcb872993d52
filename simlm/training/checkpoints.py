"""Checkpoints that are known to be complete.

A checkpoint is written file by file, and a process can be killed between two of them; a missing optimizer or
random-state file would then be ignored silently. So a list of all files, with sizes and digests, is written last, and
training resumes only from a checkpoint whose list agrees.
"""

import hashlib
import json
import shutil
from pathlib import Path

COMPLETE = "complete.json"


def digest(path: Path) -> str:
    """sha256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(checkpoint: Path) -> None:
    """Write the list of the checkpoint's files, last and atomically."""
    files = {
        str(path.relative_to(checkpoint)): {"size": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != COMPLETE
    }
    partial = checkpoint / f"{COMPLETE}.partial"
    partial.write_text(json.dumps(files, indent=1))
    partial.replace(checkpoint / COMPLETE)


def is_complete(checkpoint: Path) -> bool:
    """Whether every file of the checkpoint is there and unchanged."""
    try:
        files = json.loads((checkpoint / COMPLETE).read_text())
        return bool(files) and all(
            (checkpoint / name).stat().st_size == known["size"] and digest(checkpoint / name) == known["sha256"]
            for name, known in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1


def newest_complete(folder: Path) -> Path | None:
    """The checkpoint to resume from; incomplete ones are removed."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if is_complete(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None
