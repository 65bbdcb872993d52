"""A stage in several processes: its own starts them, as torchrun does, and ends when all have ended.

The workers run the stage's `run` together (`simlm.workflow.worker`) and know nothing of other stages. They end with the
process that started them, however that ends. In a Slurm allocation of several nodes each has as many
(`simlm.workflow.nodes`).
"""

import resource
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.api import SignalException

from simlm.errors import UserError
from simlm.files import read_json
from simlm.workflow.nodes import launch_on_nodes
from simlm.workflow.resources import Choices, allocated_nodes, share_of_node
from simlm.workflow.server import memory, name_of
from simlm.workflow.torchrun import NUMBERS, Ended, WorkerFailed, launch


def run_in_workers(job: Path, left: Path, choices: Choices) -> dict[str, Any]:
    """Run a stage in several processes, on this machine or on all nodes of the Slurm allocation.

    Args:
        job: the stage's folder.
        left: a folder of its own for what the workers leave for this process.
        choices: how many processes, and on what.

    Returns:
        The numbers of the stage's `run`.

    Raises:
        UserError: a user's mistake in any of them, fewer GPUs than processes, or nodes that cannot share them.
        WorkerFailed: one failed otherwise.
    """
    nodes, processes = allocated_nodes(), choices.processes
    share = share_of_node(processes, nodes)
    if nodes == 1:
        choices.check_gpus(share)
    shutil.rmtree(left, ignore_errors=True)
    left.mkdir(parents=True)
    with _signals_kept():
        if nodes > 1:
            ended = launch_on_nodes(job, left, share, nodes)
        else:
            ended = launch(job, left, share, rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost")
    if ended or any(left.glob("mistake-*.txt")):
        raise _cause(left, ended, processes)
    numbers = read_json(left / NUMBERS)
    if numbers is None:
        raise WorkerFailed(f"{processes} processes ended without an error, and without the stage's numbers")
    return numbers


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Let signals end this process by the handlers of now, and not before the workers have ended."""
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
    """Return the error that came first: when one worker fails, those that wait for it often fail too."""
    mistakes = sorted(left.glob("mistake-*.txt"))
    if mistakes:
        return UserError(mistakes[0].read_text(encoding="utf-8"))
    for _, rank, status in sorted(ended, key=lambda one: one.rank):
        # SIGTERM is what torch sends to the others then.
        if status < 0 and status != -signal.SIGTERM:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of the largest; 0 on other nodes
            said = f"process {rank} of {processes} was ended by {name_of(-status)}"
            return WorkerFailed(f"{said}; {memory(peak)}" if peak else said)
    faults = sorted(left.glob("fault-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    if faults:
        failed = faults[0].stem.removeprefix("fault-")
        return WorkerFailed(f"process {failed} of {processes} failed: {faults[0].read_text(encoding='utf-8')}")
    first = min(ended)
    return WorkerFailed(f"process {first.rank} of {processes} ended with status {first.status}")
