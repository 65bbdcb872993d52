"""A stage in several processes: its own starts them, as torchrun does, and ends when all have ended.

The workers run the stage's `run` together (`simlm.stages.worker`) and know nothing of other stages. They end with the
process that started them, however that ends.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simlm.errors import UserError
from simlm.stages.manifest import read_json
from simlm.stages.slots import chosen_device

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LEFT = "workers"
"""The folder, in a stage's work, of what its workers leave for the process that started them."""
NUMBERS = "numbers.json"
STARTED_BY = "SIMLM_STARTED_BY"
SHUTDOWN_SECONDS = 3
"""Workers that do not end when told to are killed after this time; the driver gives a stage five seconds."""


class WorkerFailed(Exception):
    """A worker ended with an error that is no user's mistake."""


def run_in_workers(job: Path, work: Path, processes: int) -> dict[str, Any]:
    """Run the stage whose folder is ``job`` in so many processes of this machine; the numbers of its `run`.

    UserError for a user's mistake in any of them, and when there are fewer GPUs; WorkerFailed when one fails otherwise.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    check_gpus(processes)
    left = work / LEFT
    shutil.rmtree(left, ignore_errors=True)
    left.mkdir(parents=True)
    os.environ[STARTED_BY] = str(os.getpid())
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=job.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        elastic_launch(config, sys.executable)("-m", "simlm.stages.worker", str(job / "params.json"))
    except ChildFailedError as error:
        raise _cause(left, error.failures, processes) from None
    except SignalException as error:
        _restore(handlers)
        signal.raise_signal(error.sigval)
        raise
    finally:
        _restore(handlers)
    numbers = read_json(left / NUMBERS)
    if numbers is None:
        raise WorkerFailed(f"{processes} processes ended without an error, and without the stage's numbers")
    return numbers


def check_gpus(processes: int) -> None:
    """UserError when processes that compute on GPUs would not have one each."""
    if chosen_device() == "cuda":
        import torch

        if processes > (count := torch.cuda.device_count()):
            raise UserError(f"--processes {processes}: each needs a GPU and there are {count}; choose fewer")


def mistake_of(left: Path, rank: int) -> Path:
    """Where a worker notes the user's mistake that it found."""
    return left / f"mistake-{rank}.txt"


def fault_of(left: Path, rank: int) -> Path:
    """Where a worker notes an error of another kind."""
    return left / f"fault-{rank}.txt"


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _cause(left: Path, failures: "dict[int, ProcessFailure]", processes: int) -> Exception:
    """What ended the workers: when one fails, those that wait for it often fail as well."""
    mistakes = sorted(left.glob("mistake-*.txt"))
    if mistakes:
        return UserError(mistakes[0].read_text(encoding="utf-8"))
    for rank, failure in sorted(failures.items()):
        # SIGTERM is what torch sends to the others then.
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return WorkerFailed(f"process {rank} of {processes} was ended by {signal.Signals(-failure.exitcode).name}")
    faults = sorted(left.glob("fault-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    if faults:
        failed = faults[0].stem.removeprefix("fault-")
        return WorkerFailed(f"process {failed} of {processes} failed: {faults[0].read_text(encoding='utf-8')}")
    first = min(failures.values(), key=lambda failure: failure.timestamp)
    return WorkerFailed(f"process {first.local_rank} of {processes} ended with status {first.exitcode}")
