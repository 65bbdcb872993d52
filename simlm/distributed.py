"""The processes that work on one stage together: how many they are, which one this is, and what they tell each other.

A process that works alone is a group of one. `simlm.workflow.workers` starts the others.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from simlm.errors import UserError


def processes() -> int:
    """The number of processes that work together; 1 outside torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among them, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def local_processes() -> int:
    """How many of them share this machine, as torchrun tells in the environment."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes())) if processes() > 1 else 1


def local_rank() -> int:
    """This process's place among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", rank())) if processes() > 1 else 0


def is_first() -> bool:
    """Whether this process writes what is written once."""
    return rank() == 0


def wait_for_all() -> None:
    """Return when every process has come here, and sees what the others wrote before."""
    if processes() > 1:
        dist.barrier()


def summed(tensor: Tensor) -> Tensor:
    """The sum of every process's tensor, in place and in all of them alike."""
    if processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def smallest(number: int, device: torch.device) -> int:
    """The smallest of every process's numbers, in all of them alike."""
    if processes() == 1:
        return number
    tensor = torch.tensor(number, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return int(tensor)


def even_share(count: int, what: str) -> int:
    """How many of ``count`` each process has; UserError when they cannot be shared evenly."""
    if count % processes():
        raise UserError(
            f"--processes {processes()}: a batch of {count} {what} cannot be shared evenly; choose a divisor of {count}"
        )
    return count // processes()
