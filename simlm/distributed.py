"""The processes that work on one stage together: how many there are, which one this is, and sums over all of them.

A process that works alone is a group of one. `simlm.workflow.workers` starts the others.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from simlm.errors import UserError


def processes() -> int:
    """Return the number of processes that work together; 1 outside torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number among them, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def local_processes() -> int:
    """Return how many of them run on this machine, as torchrun says in the environment."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes())) if processes() > 1 else 1


def local_rank() -> int:
    """Return this process's number among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", rank())) if processes() > 1 else 0


def own_device(kind: str) -> torch.device:
    """Set this process's number of threads, and return the device that it computes on.

    The cores of a machine are shared by the processes on it. ``kind`` is "cpu", or "cuda" for a GPU of its own.
    """
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // local_processes()))
    return torch.device(kind, local_rank()) if kind == "cuda" and processes() > 1 else torch.device(kind)


def is_first() -> bool:
    """Tell whether this process writes what is written once."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process has come here; each then sees what the others wrote before."""
    if processes() > 1:
        dist.barrier()


def summed(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place; all of them get the sum."""
    if processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def smallest(number: int, device: torch.device) -> int:
    """Return the smallest of all processes' numbers; all of them get it."""
    if processes() == 1:
        return number
    tensor = torch.tensor(number, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return int(tensor)


def even_share(count: int, what: str) -> int:
    """Return how many of ``count`` each process gets; UserError when they cannot be shared evenly."""
    if count % processes():
        raise UserError(
            f"--processes {processes()}: a batch of {count} {what} cannot be shared evenly; choose a divisor of {count}"
        )
    return count // processes()
