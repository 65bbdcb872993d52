"""Refuse options that cannot work, before anything is written: each check raises UserError with one line."""

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import psutil

from simlm.errors import UserError
from simlm.paths import instead, whole
from simlm.scales import NAMES, open_scale
from simlm.workflow.resources import SEARCHES, Choices, allocated_nodes, check_srun, share_of_node

FREE_BYTES = 2 << 30
MOST_SEED = 2**31 - 1
RELEVANT = 10
"""Relevant passages of one query that a collection must have room for beside its negatives."""
FOLDERS = ("jobs", "slots", "experiments")
LOCKS = ("run.lock", "report.lock")
DEVICES = ("auto", "cpu", "cuda")
NOT_COMMON = ("nfs", "cifs", "smb", "fuse.sshfs")
"""File systems that are shared and keep what one node writes from another for a while."""


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not among those that are known."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")


def check_scale(scale: str) -> None:
    """Refuse a scale that does not exist."""
    check_known("scale", scale, NAMES)


def check_seed(option: str, value: int, least: int) -> None:
    """Refuse a seed, or a number of seeds, below ``least`` or above what numpy takes once a scale's seed is added."""
    if not least <= value <= MOST_SEED:
        raise UserError(f"{option} {value}: choose {least} or more, {MOST_SEED} at most")


def check_tflops(value: float, dry_run: bool) -> None:
    """Refuse --tflops without --dry-run, and a negative or infinite value."""
    if value and not dry_run:
        raise UserError("--tflops changes nothing but the estimate of --dry-run: leave it out, or add --dry-run")
    if not 0 <= value < float("inf"):
        raise UserError(f"--tflops {value:g}: give TFLOP/s, for one H100 about 800")


def check_collection(collection: str, scale: str, negatives: str = "bm25", trains: bool = True) -> None:
    """Refuse a collection of the reader's own that is not whole or, if a scale trains on it, too small."""
    from simlm.data.lookup import resolve

    found = resolve(collection)
    if negatives != "bm25" and not found.has_negatives:
        raise UserError(
            f"--negatives {negatives}: {found.name} comes without lists of hard negatives; leave the option out for "
            "BM25's"
        )
    if not trains:
        return
    settings = open_scale(scale)
    lists = [one.negatives for one in (settings.retriever, settings.distillation, settings.reranker)]
    least = max(one.needed for one in lists) + RELEVANT
    if found.passages is not None and found.passages < least:
        raise UserError(
            f"--collection {collection}: {found.passages:,} passages are too few for {scale}, whose lists of negatives "
            f"need {least:,}; add passages{'' if scale == NAMES[0] else f' or choose --scale {NAMES[0]}'}"
        )


def check_machine(device: str, results: Path, reports: Path) -> None:
    """Refuse a device that is not there, and a HOME or a results folder that cannot be written.

    ``reports`` is the folder, below the results folder, that the command's own outcome will be written to.
    """
    check_known("device", device, DEVICES)
    if device == "cuda":
        Choices(device).compute_device()
    _check_home()
    _check_results(results, reports)


def check_processes(processes: int, device: str | None, results: Path) -> None:
    """Refuse more processes than GPUs, or a number that the nodes of a Slurm allocation cannot share evenly.

    ``device`` is what the machine of the stages computes on, None where that is another one, which is not known here.
    """
    if processes < 1:
        raise UserError(f"--processes {processes}: choose 1 or more")
    if processes > 1 and device is not None:
        nodes = allocated_nodes()
        share = share_of_node(processes, nodes)
        if nodes > 1:
            check_srun()
            check_common(results)
        if device in ("auto", "cuda"):
            Choices(device).check_gpus(share, nodes)


def check_common(results: Path) -> None:
    """Refuse a file system for several nodes on which one does not see at once what another wrote."""
    path = results.resolve()
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    system = next((mounts[one] for one in (path, *path.parents) if one in mounts), "")
    if system.startswith(NOT_COMMON):
        raise UserError(
            f"--results {results}: it lies on {system}, where several nodes cannot write into one file; choose "
            "a folder on a parallel file system (Lustre, GPFS), or one node"
        )


def check_search(search: str, device: str | None) -> None:
    """Refuse a search library that is not installed for the device that stages compute on.

    ``device`` is as for `check_processes`.
    """
    check_known("search", search, SEARCHES)
    if search == "faiss" and device is not None:
        from simlm.retrieval.faiss_knn import check_faiss

        check_faiss(Choices(device).compute_device())


def _check_home() -> None:
    """Refuse a HOME that cannot be written: some libraries write below it."""
    try:
        home = Path.home() if "HOME" not in os.environ else Path(os.environ["HOME"] or "/")
    except RuntimeError:
        raise UserError("HOME is not set: set it to a folder of yours and run again") from None
    if (reason := _unwritable(home)) is not None:
        raise UserError(f"HOME ({home}) cannot be written ({reason}): set HOME to a folder of yours and run again")


def _unwritable(folder: Path) -> str | None:
    """Return why nothing can be written into a folder, or None. It tries, because root is told that it may always."""
    try:
        if not folder.is_dir():
            return "it is no folder"
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return str(error.strerror)


def _check_results(results: Path, reports: Path) -> None:
    check_writable("--results", results)
    path = results.absolute()
    # What commands and experimaestro write below it, where that is there already.
    below = [path / name for name in (*FOLDERS, *map(str, reversed(reports.parents)), str(reports))]
    for folder in (folder for folder in below if os.path.lexists(folder)):
        if (reason := _unwritable(folder)) is not None:
            raise UserError(f"--results {results}: cannot write to {folder} ({reason}); choose another")
    for lock in (lock for name in LOCKS if os.path.lexists(lock := path / name) and not lock.is_file()):
        raise UserError(f"--results {results}: {lock} is no file; remove it or choose another folder")


def check_writable(option: str, folder: Path) -> None:
    """Refuse a folder unless it, or the nearest existing folder above it, is writable and has room."""
    # os.path's tests take a folder that may not be looked into for a missing one; Path's would raise.
    path = whole(option, folder)
    existing = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not existing.is_dir():
        raise UserError(f"{option} {folder}: {existing} {instead(existing)}; choose a folder")
    if (reason := _unwritable(existing)) is not None:
        raise UserError(f"{option} {folder}: cannot write to {existing} ({reason}); choose another")
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise UserError(
            f"{option} {folder}: {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.1f} GB needed; "
            "free some space or choose another folder"
        )
