"""How many stages run at once on a machine, and with how many threads each.

On a CPU two stages run at once, so that one computes while the other imports or writes. Each has as many threads as
there are cores: with waiting threads that sleep (OMP_WAIT_POLICY=PASSIVE) two stages share the cores almost without
loss, and a stage that runs alone has all of them. The number of threads is the same either way, so results are too. On
GPUs a stage has one for each of its processes. Where a Slurm allocation has several nodes a stage has all of them. A
slot is a file lock, which the system releases whenever a process ends.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from simlm.errors import UserError

DEVICE = "SIMLM_DEVICE"
ALONE = "SIMLM_ALONE"
"""Set where Slurm gives each stage processors of its own, so that it need not wait for a slot."""
PROCESSES = "SIMLM_PROCESSES"
"""How many processes work together on a stage whose work can be shared, those of all nodes together."""
SEARCH = "SIMLM_SEARCH"
"""What finds the nearest passages, one of ``SEARCHES``: the runs are the same up to rounding."""
SEARCHES = ("torch", "faiss")
CPU_SLOTS = 2


def cores() -> int:
    """The processors that this process may use: the threads of a stage on the CPU."""
    return len(os.sched_getaffinity(0))


def chosen_processes() -> int:
    """How many processes share a stage's work, from the command line by way of the environment."""
    asked = os.environ.get(PROCESSES, "1")
    if not asked.isdecimal() or int(asked) < 1:
        raise UserError(f"{PROCESSES}={asked}: choose 1 or more")
    return int(asked)


def allocated_nodes() -> int:
    """The nodes of the Slurm allocation that this process runs in; 1 outside."""
    return int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))


def share_of_node(processes: int, nodes: int) -> int:
    """How many of a stage's processes run on each node; UserError when they cannot be shared evenly."""
    if processes % nodes:
        raise UserError(
            f"--processes {processes}: cannot be shared evenly by {nodes} nodes of Slurm; choose a multiple of {nodes}"
        )
    return processes // nodes


def faiss_chosen() -> bool:
    """Whether faiss searches, from the command line by way of the environment."""
    asked = os.environ.get(SEARCH, SEARCHES[0])
    if asked not in SEARCHES:
        raise UserError(f"{SEARCH}={asked}: choose one of {', '.join(SEARCHES)}")
    return asked == "faiss"


def chosen_device() -> str:
    """ "cpu" or "cuda", from the command line by way of the environment; "auto" takes a GPU where there is one."""
    import torch

    asked = os.environ.get(DEVICE, "auto")
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked not in ("cpu", "cuda"):
        raise UserError(f"unknown device {asked!r}: choose auto, cpu or cuda")
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no GPU here; choose --device cpu, or install a CUDA build of torch")
    return asked


def stage_slot(folder: Path) -> AbstractContextManager[int | None]:
    """A slot of this machine for a stage, ``CPU_SLOTS`` or as GPUs allow; None is yielded where it needs none."""
    if os.environ.get(ALONE):
        return nullcontext()
    if allocated_nodes() > 1:
        return slot(folder, 1)
    return slot(folder, max(1, len(gpus) // chosen_processes()) if (gpus := gpus_of_slots()) else CPU_SLOTS)


def gpus_of_slots() -> list[str]:
    """The numbers of the GPUs that stages compute on; [] where they compute on the CPU."""
    return [number for number in os.environ.get("SIMLM_GPUS", "").split(",") if number]


def gpus_of_slot(number: int) -> list[str]:
    """Those that the stage in a slot has for itself, one for each of its processes."""
    return gpus_of_slots()[number * chosen_processes() :][: chosen_processes()]


@contextmanager
def slot(folder: Path, count: int) -> Iterator[int]:
    """Holds one of ``count`` slots, whose locks lie in ``folder``, while the block runs; yields its number."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for number in range(count):
            lock = FileLock(folder / f"slot-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield number
            finally:
                lock.release()
            return
        time.sleep(0.1)
