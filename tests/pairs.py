"""Two gloo processes on the CPU, started as torchrun starts its workers."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import torch.distributed as dist

from simlm.workflow.worker import end_at_once, leave_group

ROOT = Path(__file__).parents[1]
WORLD = 2
PATIENCE = 300.0


def run_pair(module: str, folder: Path) -> None:
    """Run `python -m module FOLDER` twice, together, to a good end; each finds its place in its environment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {"WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": WORLD, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    workers = []
    for rank in range(WORLD):
        own = shared | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1}
        environment = os.environ | {name: str(value) for name, value in own.items()}
        workers.append(subprocess.Popen([sys.executable, "-m", module, str(folder)], cwd=ROOT, env=environment))
    try:
        assert [worker.wait(timeout=PATIENCE) for worker in workers] == [0] * WORLD
    finally:
        for worker in workers:
            worker.kill()


def meet() -> int:
    """Join the other process; this one's rank."""
    dist.init_process_group("gloo")
    return dist.get_rank()


def part() -> NoReturn:
    """Leave when both are done, and end this process."""
    leave_group()
    end_at_once(0)
