"""Checkpoints that are known to be complete.

A checkpoint is written file by file, and a process can be killed between two of them; a missing optimizer or
random-state file would then be ignored silently. So a list of all files, with sizes and digests, is written last, and
training resumes only from a checkpoint whose list agrees.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from simlm.files import checksums, flush, misfit, read_json, read_sealed, write_sealed
from simlm.progress import say

COMPLETE = "complete.json"
STATE, WEIGHTS = "trainer_state.json", "model.safetensors"


def seal(checkpoint: Path) -> None:
    """Write the list of a checkpoint's files, last and as a whole, when the disk has all of them."""
    flush(checkpoint)
    write_sealed(checkpoint / COMPLETE, checksums(checkpoint))


def is_complete(checkpoint: Path) -> bool:
    """Tell whether every file of a checkpoint is there and unchanged."""
    files = read_sealed(checkpoint / COMPLETE)
    return files is not None and misfit(checkpoint, files) is None


def checkpoint_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint after ``step`` updates is."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the number of updates before a checkpoint was made; -1 for a folder that is no checkpoint."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1


def newest_complete(folder: Path, usable: Callable[[int], bool] = lambda step: True) -> Path | None:
    """Return the checkpoint to resume from, or None; those that cannot be resumed from are removed, with a line each.

    The best checkpoint so far, to which training may return, has to be complete as well.

    Args:
        folder: where the checkpoints are.
        usable: tells whether what is kept outside a checkpoint is there for one after so many updates.
    """
    for checkpoint in _newest_first(folder):
        if is_complete(checkpoint) and _best_is_complete(checkpoint) and usable(step_of(checkpoint)):
            return checkpoint
        say(f"{checkpoint} is not used: it, or what belongs to it, is damaged or was not written to its end")
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def newest(folder: Path) -> Path | None:
    """Return the newest checkpoint, or None."""
    return next(iter(_newest_first(folder)), None)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True)


def _best_is_complete(checkpoint: Path) -> bool:
    best = (read_json(checkpoint / STATE) or {}).get("best_global_step")
    return best is None or best == step_of(checkpoint) or is_complete(checkpoint_of(checkpoint.parent, best))
