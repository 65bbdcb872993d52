"""A stage in several processes: its own starts them, as torchrun does, and ends when all have ended.

The workers run the stage's `run` together (`simlm.workflow.worker`) and know nothing of other stages. They end with the
process that started them, however that ends. In a Slurm allocation of several nodes each has as many
(`simlm.workflow.nodes`).
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from simlm.errors import UserError
from simlm.workflow.manifest import read_json
from simlm.workflow.resources import Choices, allocated_nodes, share_of_node

LEFT = "workers"
"""The folder, in a stage's work, of what its workers leave for the process that started them."""
NUMBERS = "numbers.json"
STARTED_BY = "SIMLM_STARTED_BY"
SHUTDOWN_SECONDS = 3
"""Workers that do not end when told to are killed after this time; the driver gives a stage five seconds."""


class WorkerFailed(Exception):
    """A worker ended with an error that is no user's mistake."""


class Ended(NamedTuple):
    """A worker that failed: when, which, and its exit status, negative for a signal."""

    when: int
    rank: int
    status: int


def run_in_workers(job: Path, work: Path, choices: Choices) -> dict[str, Any]:
    """Run the stage whose folder is ``job`` in so many processes, here or on all nodes; the numbers of its `run`.

    UserError for a user's mistake in any of them, when there are fewer GPUs, and when nodes cannot share them;
    WorkerFailed when one fails otherwise.
    """
    nodes, processes = allocated_nodes(), choices.processes
    share = share_of_node(processes, nodes)
    if nodes == 1:
        check_gpus(choices, share)
    left = work / LEFT
    shutil.rmtree(left, ignore_errors=True)
    left.mkdir(parents=True)
    with _signals_kept():
        if nodes > 1:
            from simlm.workflow.nodes import launch_on_nodes

            ended = launch_on_nodes(job, left, share, nodes)
        else:
            ended = launch(job, share, rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost")
    if ended or any(left.glob("mistake-*.txt")):
        raise _cause(left, ended, processes)
    numbers = read_json(left / NUMBERS)
    if numbers is None:
        raise WorkerFailed(f"{processes} processes ended without an error, and without the stage's numbers")
    return numbers


def launch(job: Path, share: int, nodes: int = 1, **meeting: Any) -> list[Ended]:
    """Start ``share`` workers on this machine, one of ``nodes``, and wait for them; those that failed.

    ``meeting`` is how torch's agents find each other, as its LaunchConfig has it.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[STARTED_BY] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=share,
        run_id=job.name,
        max_restarts=0,
        shutdown_timeout=SHUTDOWN_SECONDS,
        **meeting,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "simlm.workflow.worker", str(job / "params.json"))
    except ChildFailedError as error:
        return [Ended(one.timestamp, rank, one.exitcode) for rank, one in error.failures.items()]
    return []


def check_gpus(choices: Choices, share: int, nodes: int = 1) -> None:
    """UserError when this machine's share of processes, on each of ``nodes``, compute on GPUs and lack one each."""
    if choices.compute_device() == "cuda":
        import torch

        if share > (count := torch.cuda.device_count()):
            there = f"{count} on each node" if nodes > 1 else str(count)
            raise UserError(f"--processes {share * nodes}: each needs a GPU and there are {there}; choose fewer")


def mistake_of(left: Path, worker: int | str) -> Path:
    """Where a worker notes the user's mistake that it found."""
    return left / f"mistake-{worker}.txt"


def fault_of(left: Path, rank: int) -> Path:
    """Where a worker notes an error of another kind."""
    return left / f"fault-{rank}.txt"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Signals that end this process do so by the handlers of now, and not before the workers have ended."""
    from torch.distributed.elastic.multiprocessing.api import SignalException

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except SignalException as error:
        _restore(handlers)
        signal.raise_signal(error.sigval)
        raise
    finally:
        _restore(handlers)


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _cause(left: Path, ended: Sequence[Ended], processes: int) -> Exception:
    """What ended the workers: when one fails, those that wait for it often fail as well."""
    mistakes = sorted(left.glob("mistake-*.txt"))
    if mistakes:
        return UserError(mistakes[0].read_text(encoding="utf-8"))
    for _, rank, status in sorted(ended, key=lambda one: one.rank):
        # SIGTERM is what torch sends to the others then.
        if status < 0 and status != -signal.SIGTERM:
            return WorkerFailed(f"process {rank} of {processes} was ended by {signal.Signals(-status).name}")
    faults = sorted(left.glob("fault-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    if faults:
        failed = faults[0].stem.removeprefix("fault-")
        return WorkerFailed(f"process {failed} of {processes} failed: {faults[0].read_text(encoding='utf-8')}")
    first = min(ended)
    return WorkerFailed(f"process {first.rank} of {processes} ended with status {first.status}")
