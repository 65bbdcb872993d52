"""What stages compute with: the choices of a command, and the slots of a machine.

On a CPU two stages run at once, so that one computes while the other reads or writes. Each has as many threads as there
are cores: with waiting threads that sleep (OMP_WAIT_POLICY=PASSIVE) two stages share the cores almost without loss, and
a stage that runs alone has all of them. The number of threads is the same either way, so results are too. Two at a time
do more than one alone, and so the longest line of stages goes first: what is short is left to run beside it. On GPUs a
stage has one for each of its processes. Where a Slurm allocation has several nodes a stage has all of them. A slot is a
file lock, which the system releases whenever a process ends; so is the sign of a stage that waits for one.
"""

import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from simlm.errors import UserError
from simlm.files import read_json, write_json

CHOICES = "choices.json"
SEARCHES = ("torch", "faiss")
CPU_SLOTS = 2
WAITS = ".waits"
MOST_SECONDS = 2.0
"""How often a stage looks for a slot in the end: dozens that look ten times a second take a tenth of two cores."""


@dataclass(frozen=True)
class Choices:
    """How stages compute. None of it counts in a stage's identity, so it may change from run to run.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        processes: how many processes share a stage's work where it can be shared, those of all nodes together.
        search: what finds the nearest passages, one of ``SEARCHES``; runs are the same up to rounding.
        gpus: the numbers of the GPUs of this machine that stages compute on; none on a CPU.
        alone: whether each stage has a machine's resources for itself, so that it need not wait for a slot.
        behind: how many stages wait for this one, the longest line of them: of the stages that wait for a slot, the one
            with the most goes first.
        commit: of the project's code, for manifests.
        hardware: the processor, for manifests.
    """

    device: str = "auto"
    processes: int = 1
    search: str = "torch"
    gpus: tuple[str, ...] = ()
    alone: bool = False
    behind: int = 0
    commit: str = "unknown"
    hardware: str = "unknown"

    @classmethod
    def read(cls, job: Path) -> Self:
        """Return the choices that were written into a stage's folder; the defaults where there are none."""
        written = read_json(job / CHOICES) or {}
        return cls(**written | {"gpus": tuple(written.get("gpus", ()))})

    def write(self, job: Path) -> None:
        """Leave the choices in a stage's folder, for its processes."""
        write_json(job / CHOICES, dataclasses.asdict(self))

    def compute_device(self) -> str:
        """Return "cpu" or "cuda"; UserError for a GPU that torch does not see."""
        import torch  # takes a second, and commands ask for it only where they must know

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError(
                "device cuda: torch sees no GPU here; choose --device cpu, or install a CUDA build of torch"
            )
        return self.device

    def check_gpus(self, share: int, nodes: int = 1) -> None:
        """Raise UserError when ``share`` processes of this machine, one of ``nodes``, need a GPU each and lack one."""
        if self.compute_device() == "cuda":
            import torch  # as above

            if share > (count := torch.cuda.device_count()):
                there = f"{count} on each node" if nodes > 1 else str(count)
                raise UserError(f"--processes {share * nodes}: each needs a GPU and there are {there}; choose fewer")

    def slots(self) -> int:
        """Return how many stages run on this machine at once."""
        return max(1, len(self.gpus) // self.processes) if self.gpus else CPU_SLOTS

    def gpus_of_slot(self, number: int) -> tuple[str, ...]:
        """Return the GPUs that the stage in a slot has for itself, one for each of its processes."""
        return self.gpus[number * self.processes :][: self.processes]


def cores() -> int:
    """Return the number of processors that this process may use: the threads of a stage on the CPU."""
    return len(os.sched_getaffinity(0))


def allocated_nodes() -> int:
    """Return the number of nodes of the Slurm allocation that this process runs in; 1 outside."""
    return int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))


def share_of_node(processes: int, nodes: int) -> int:
    """Return how many of a stage's processes run on each node; UserError when they cannot be shared evenly."""
    if processes % nodes:
        raise UserError(
            f"--processes {processes}: cannot be shared evenly by {nodes} nodes of Slurm; choose a multiple of {nodes}"
        )
    return processes // nodes


def check_srun() -> str:
    """Return where srun is; UserError without one."""
    found = shutil.which("srun")
    if found is None:
        raise UserError("this Slurm allocation has several nodes, and no srun on PATH to start processes on them")
    return found


def stage_slot(folder: Path, choices: Choices) -> AbstractContextManager[int | None]:
    """Hold a slot of this machine for a stage while the block runs; yield its number, None where it needs none."""
    if choices.alone:
        return nullcontext()
    return slot(folder, 1 if allocated_nodes() > 1 else choices.slots(), choices.behind)


@contextmanager
def slot(folder: Path, count: int, behind: int = 0) -> Iterator[int]:
    """Hold one of ``count`` slots, whose locks lie in ``folder``, while the block runs; yield its number."""
    folder.mkdir(parents=True, exist_ok=True)
    sign = folder / f"{behind:04d}-{uuid.uuid4().hex}"
    with FileLock(sign):
        # Seen only once it is locked: without a lock it would be the sign of a process that was killed.
        waits = sign.rename(sign.with_suffix(WAITS))
        waited = 0.0
        while (held := _free_slot(folder, count, behind)) is None:
            pause = min(MOST_SECONDS, 0.1 + waited / 50)
            time.sleep(pause)
            waited += pause
        waits.unlink()
    number, lock = held
    try:
        yield number
    finally:
        lock.release()


def _free_slot(folder: Path, count: int, behind: int) -> tuple[int, FileLock] | None:
    """Take a slot and return its number and lock; None where all are held or a stage with more behind it waits."""
    for number in range(count):
        if _held(lock := FileLock(folder / f"slot-{number}.lock")):
            if not _others_first(folder, behind):
                return number, lock
            lock.release()
            return None
    return None


def _others_first(folder: Path, behind: int) -> bool:
    """Return whether a stage with more behind it waits; remove the signs of processes that were killed."""
    first = False
    for waits in folder.glob(f"*{WAITS}"):
        if _held(lock := FileLock(waits)):
            waits.unlink(missing_ok=True)
            lock.release()
        else:
            first |= int(waits.name.split("-")[0]) > behind
    return first


def _held(lock: FileLock) -> bool:
    """Take a lock if nobody has it, and say whether it was taken."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
