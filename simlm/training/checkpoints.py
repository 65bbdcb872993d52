"""Checkpoints that are known to be complete.

A checkpoint is written file by file, and a process can be killed between two of them; a missing optimizer or
random-state file would then be ignored silently. So a list of all files, with sizes and digests, is written last, and
training resumes only from a checkpoint whose list agrees.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from simlm.files import digest

COMPLETE = "complete.json"
STATE, WEIGHTS = "trainer_state.json", "model.safetensors"


def seal(checkpoint: Path) -> None:
    """Write the list of a checkpoint's files, last and as a whole."""
    files = {
        str(path.relative_to(checkpoint)): {"size": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != COMPLETE
    }
    partial = checkpoint / f"{COMPLETE}.partial"
    partial.write_text(json.dumps(files, indent=1))
    partial.replace(checkpoint / COMPLETE)


def is_complete(checkpoint: Path) -> bool:
    """Tell whether every file of a checkpoint is there and unchanged."""
    try:
        files = json.loads((checkpoint / COMPLETE).read_text())
        return bool(files) and all(
            (checkpoint / name).stat().st_size == known["size"] and digest(checkpoint / name) == known["sha256"]
            for name, known in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def checkpoint_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint after ``step`` updates is."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the number of updates before a checkpoint was made; -1 for a folder that is no checkpoint."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1


def newest_complete(folder: Path, usable: Callable[[int], bool] = lambda step: True) -> Path | None:
    """Return the checkpoint to resume from, or None; those that cannot be resumed from are removed.

    The best checkpoint so far, to which training may return, has to be complete as well.

    Args:
        folder: where the checkpoints are.
        usable: tells whether what is kept outside a checkpoint is there for one after so many updates.
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
