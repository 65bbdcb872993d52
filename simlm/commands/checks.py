"""What cannot work, refused before anything is written: each check raises UserError with one line."""

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from simlm.errors import UserError
from simlm.scales import NAMES, open_scale
from simlm.stages.slots import DEVICE

FREE_BYTES = 2 << 30
RELEVANT = 10
"""Relevant passages of one query that a collection must have room for beside its negatives."""
DEVICES = ("auto", "cpu", "cuda")


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """A name must be one of those that are known."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")


def check_scale(scale: str) -> None:
    """The scale must exist."""
    check_known("scale", scale, NAMES)


def check_collection(collection: str, scale: str, negatives: str = "bm25") -> None:
    """A collection of the reader's own must be there whole, and be large enough for a scale."""
    from simlm.data.reference import resolve

    found = resolve(collection)
    if negatives != "bm25" and not found.has_negatives:
        raise UserError(
            f"--negatives {negatives}: {found.name} comes without lists of hard negatives; leave the option out for "
            "BM25's"
        )
    settings = open_scale(scale)
    lists = [one.negatives for one in (settings.retriever, settings.distillation, settings.reranker)]
    least = max(2 * one.total - one.depth for one in lists) + RELEVANT
    if found.passages is not None and found.passages < least:
        raise UserError(
            f"--collection {collection}: {found.passages:,} passages are too few for {scale}, whose lists of negatives "
            f"need {least:,}; add passages or choose --scale smoke"
        )


def check_machine(device: str, results: Path) -> None:
    """The device must be there, and HOME and the results folder writable; stages will run on that device."""
    check_known("device", device, DEVICES)
    os.environ[DEVICE] = device
    if device == "cuda":
        from simlm.stages.slots import chosen_device

        chosen_device()
    _check_home()
    _check_results(results)


def _check_home() -> None:
    """Some libraries write below HOME; where that is impossible, say how to mend it."""
    home = Path(os.environ.get("HOME") or "/")
    if not os.access(home, os.W_OK):
        raise UserError(f"HOME ({home}) cannot be written: set HOME to a folder of yours and run again")


def _check_results(results: Path) -> None:
    # os.path's test takes a folder that may not be looked into for a missing one; Path's would raise.
    existing = next(folder for folder in (results.absolute(), *results.absolute().parents) if os.path.exists(folder))
    if not existing.is_dir():
        raise UserError(f"--results {results}: {existing} is a file; choose a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"--results {results}: cannot write to {existing} ({error.strerror}); choose another") from None
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise UserError(
            f"--results {results}: {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.1f} GB needed; "
            "free some space or choose another folder"
        )
