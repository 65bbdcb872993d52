"""Two gloo processes on the CPU, each forked from the stage server, which has imported the libraries already."""

import os
import socket
from pathlib import Path
from typing import NoReturn

import torch.distributed as dist

from simlm.workflow.server import stage_server
from simlm.workflow.worker import end_at_once, leave_group

ROOT = Path(__file__).parents[1]
WORLD = 2
PATIENCE = 300.0
IMPORTS = ("torch", "transformers.models.bert.modeling_bert", "transformers.trainer")
SCRIPT = """
import runpy, sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
sys.argv = [{module!r}, {folder!r}]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def run_pair(module: str, folder: Path) -> None:
    """Run a module twice, together, to a good end; each finds its rank in its environment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {"WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": WORLD, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    script = folder / f"{module}.py"
    script.write_text(SCRIPT.format(root=str(ROOT), module=module, folder=str(folder)), encoding="utf-8")
    logs = [folder / f"{module}-{rank}.log" for rank in range(WORLD)]
    started = []
    for rank, log in enumerate(logs):
        own = {name: str(value) for name, value in (shared | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        started.append(stage_server().start(script, ROOT, IMPORTS, (log, log.with_suffix(".err")), os.environ | own))
    statuses = [one.status.result(PATIENCE) for one in started]
    assert statuses == [0] * WORLD, [log.with_suffix(".err").read_text() for log in logs]


def meet() -> int:
    """Join the other process, and return this one's rank."""
    dist.init_process_group("gloo")
    return dist.get_rank()


def part() -> NoReturn:
    """Leave when both are done, and end this process."""
    leave_group()
    end_at_once(0)
