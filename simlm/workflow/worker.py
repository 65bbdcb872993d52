"""One of the processes that run a stage together: `python -m simlm.workflow.worker PARAMS`, as torchrun starts it."""

import datetime
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist

from simlm.errors import UserError
from simlm.files import write_json
from simlm.progress import follow
from simlm.workflow.experimaestro_internals import load_stage
from simlm.workflow.resources import Choices
from simlm.workflow.stage import Reporter, tune_allocator, workers_folder
from simlm.workflow.torchrun import NUMBERS, STARTED_BY, fault_of, mistake_of

LOOK_SECONDS = 0.5
PATIENCE = datetime.timedelta(days=2)
"""How long a process waits for the others. One that has ended is noticed by the process that started it, so that a long
wait only means that the others work slowly."""


def end_with(parent: int) -> None:
    """End this process when the one that started it, ``parent``, has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def join_group(choices: Choices) -> None:
    """Meet the other processes, by what torchrun tells in the environment."""
    on_gpu = choices.compute_device() == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)


def main(parameters: Path) -> int:
    """Run the stage with these parameters, as experimaestro wrote them; return the exit status."""
    end_with(int(os.environ[STARTED_BY]))
    tune_allocator()
    left = workers_folder(parameters.parent)
    rank = int(os.environ["RANK"])
    try:
        join_group(Choices.read(parameters.parent))
        stage = load_stage(parameters)
        if rank == 0:
            follow(Reporter(stage.job))
        numbers = stage.run()
        if rank == 0:
            write_json(left / NUMBERS, numbers)
    except UserError as error:
        mistake_of(left, rank).write_text(str(error), encoding="utf-8")
        return 2
    except Exception as error:
        fault_of(left, rank).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        traceback.print_exc()
        return 1
    leave_group()
    return 0


def leave_group() -> None:
    """Part from the others when all are done, so that none waits for one that has gone."""
    dist.barrier()
    dist.destroy_process_group()


def end_at_once(status: int) -> NoReturn:
    """End this process without taking Python down first.

    A thread of gloo may still be letting go of a tensor: it asks for the interpreter's lock, and where Python is ending
    it gets none and aborts the process (SIGABRT, "terminate called without an active exception"), whose work is done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end_at_once(main(Path(sys.argv[1])))
