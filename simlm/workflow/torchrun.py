"""Workers of one machine: started as torchrun does, and what they leave for the stage that started them."""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

NUMBERS = "numbers.json"
STARTED_BY = "SIMLM_STARTED_BY"
"""Tells a worker, through its environment, the process that it must end with."""
SHUTDOWN_SECONDS = 3
"""Workers that do not end when told to are killed after this time; the scheduler gives a stage five seconds."""


class WorkerFailed(Exception):
    """A worker ended with an error that is no user's mistake."""


class Ended(NamedTuple):
    """A worker that failed: when, which, and its exit status, negative for a signal."""

    when: int
    rank: int
    status: int


def launch(job: Path, left: Path, share: int, nodes: int = 1, **meeting: Any) -> list[Ended]:
    """Start workers on this machine and wait for them.

    Args:
        job: the stage's folder.
        left: a folder for what the workers leave; torch's agent keeps notes there too, and not among temporary files.
        share: how many workers.
        nodes: how many machines do the same.
        meeting: how torch's agents find each other, as its LaunchConfig has it.

    Returns:
        The workers that failed.
    """
    os.environ[STARTED_BY] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=share,
        run_id=job.name,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(left)),
        shutdown_timeout=SHUTDOWN_SECONDS,
        **meeting,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "simlm.workflow.worker", str(job / "params.json"))
    except ChildFailedError as error:
        return [Ended(one.timestamp, rank, one.exitcode) for rank, one in error.failures.items()]
    return []


def mistake_of(left: Path, worker: int | str) -> Path:
    """Return where a worker notes the user's mistake that it found."""
    return left / f"mistake-{worker}.txt"


def fault_of(left: Path, rank: int) -> Path:
    """Return where a worker notes an error of another kind."""
    return left / f"fault-{rank}.txt"
