"""What cannot work, refused before anything is written: each check raises UserError with one line."""

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from simlm.errors import UserError
from simlm.scales import NAMES
from simlm.stages.slots import DEVICE

FREE_BYTES = 2 << 30
DEVICES = ("auto", "cpu", "cuda")


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """A name must be one of those that are known."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")


def check_scale(scale: str) -> None:
    """The scale must exist."""
    check_known("scale", scale, NAMES)


def check_machine(device: str, results: Path) -> None:
    """The device must be there, and HOME and the results folder writable; stages will run on that device."""
    check_known("device", device, DEVICES)
    os.environ[DEVICE] = device
    if device == "cuda":
        from simlm.stages.slots import chosen_device

        chosen_device()
    _check_home()
    check_writable("--results", results)


def _check_home() -> None:
    """Some libraries write below HOME; where that is impossible, say how to mend it."""
    home = Path(os.environ.get("HOME") or "/")
    if not os.access(home, os.W_OK):
        raise UserError(f"HOME ({home}) cannot be written: set HOME to a folder of yours and run again")


def check_writable(option: str, folder: Path) -> None:
    """The folder that an option names, or the nearest one above it that exists, must be writable and have room."""
    # os.path's test takes a folder that may not be looked into for a missing one; Path's would raise.
    existing = next(one for one in (folder.absolute(), *folder.absolute().parents) if os.path.exists(one))
    if not existing.is_dir():
        raise UserError(f"{option} {folder}: {existing} is a file; choose a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot write to {existing} ({error.strerror}); choose another") from None
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise UserError(
            f"{option} {folder}: {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.1f} GB needed; "
            "free some space or choose another folder"
        )
