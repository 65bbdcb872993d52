"""Checkpoints that are known to be complete.

A checkpoint is written file by file, and a process can be killed between two of them; a missing optimizer or
random-state file would then be ignored silently. So a list of all files, with sizes and digests, is written last, and
training resumes only from a checkpoint whose list agrees.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

COMPLETE = "complete.json"
STATE, WEIGHTS = "trainer_state.json", "model.safetensors"


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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def checkpoint_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` updates lies."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """The updates done before a checkpoint was made; -1 for a folder that is none."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1


def newest_complete(folder: Path, usable: Callable[[int], bool] = lambda step: True) -> Path | None:
    """The checkpoint to resume from; those that cannot be resumed from are removed.

    A checkpoint is of no use either when the best one so far, to which training may return, is not complete, or when
    what lies outside it does not make one after so many updates ``usable``.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True):
        if is_complete(checkpoint) and _best_is_complete(checkpoint) and usable(step_of(checkpoint)):
            return checkpoint
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def _best_is_complete(checkpoint: Path) -> bool:
    try:
        best = json.loads((checkpoint / STATE).read_text()).get("best_global_step")
    except (OSError, ValueError, AttributeError):
        return False
    return best is None or best == step_of(checkpoint) or is_complete(checkpoint_of(checkpoint.parent, best))
