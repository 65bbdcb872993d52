"""A stage's workers on all nodes of its Slurm allocation: srun runs `python -m simlm.workflow.nodes` once on each.

The stage's process holds the store in which torch's agents meet, one a node, so that no port has to be guessed. It also
holds the other end of their standard input, and they end when that is closed: with the stage, however it ends.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from torch.distributed import TCPStore
from torch.distributed.elastic.multiprocessing.api import SignalException

from simlm.errors import UserError
from simlm.workflow.resources import Choices, check_srun
from simlm.workflow.torchrun import SHUTDOWN_SECONDS, Ended, WorkerFailed, launch, mistake_of

OTHERS_SECONDS = 1.0
"""How long a node whose worker failed waits before it ends all: others may be just noting why theirs did."""


def launch_on_nodes(job: Path, left: Path, share: int, nodes: int) -> list[Ended]:
    """Start workers on all nodes of the Slurm allocation, and wait for all.

    Args:
        job: the stage's folder.
        left: where workers and nodes leave notes for this process.
        share: how many workers each node has.
        nodes: how many nodes.

    Returns:
        The workers that failed.

    Raises:
        UserError: there is no srun.
        WorkerFailed: a node failed and none of its workers did.
    """
    srun = check_srun()
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    command = [srun, f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    command += ["--export=ALL", "--input=all"]
    command.append("--overlap")  # where this runs in a step, that has the nodes already
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
        command.append(f"--cpus-per-task={cores}")  # srun has not read it itself since Slurm 22.05
    command += [sys.executable, "-m", "simlm.workflow.nodes", str(job), str(left), str(share), str(nodes)]
    status = _run([*command, str(store.port)])
    ended = [Ended(*one) for path in left.glob("ended-*.json") for one in json.loads(path.read_text())]
    if status and not ended and not any(left.glob("mistake-*.txt")):
        raise WorkerFailed(f"srun ended with status {status} on {nodes} nodes; its own lines are above")
    return ended


def _run(command: list[str]) -> int:
    """Return the exit status of a command, which is ended before a signal ends this process."""

    def end(number: int, _: FrameType | None) -> None:
        raise SignalException(f"received signal {number}", signal.Signals(number))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            return process.wait()
        finally:
            process.terminate()
            try:
                process.wait(timeout=SHUTDOWN_SECONDS + 1)
            except subprocess.TimeoutExpired:
                process.kill()


def main(job: Path, left: Path, share: int, nodes: int, port: int) -> int:
    """Run this node's workers, which meet the others' at ``port`` of the machine where srun was called."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    node = os.environ["SLURM_NODEID"]
    try:
        Choices.read(job).check_gpus(share, nodes)
        ended = launch(
            job,
            left,
            share,
            nodes,
            rdzv_backend="c10d",
            rdzv_endpoint=f"{os.environ['SLURM_LAUNCH_NODE_IPADDR']}:{port}",
            rdzv_configs={"is_host": False},
            local_addr=os.environ["SLURMD_NODENAME"],
        )
    except UserError as error:
        mistake_of(left, f"node-{node}").write_text(str(error), encoding="utf-8")
        return 2
    except SignalException as error:
        return 128 + error.sigval
    if ended:
        (left / f"ended-{node}.json").write_text(json.dumps(ended), encoding="utf-8")
        time.sleep(OTHERS_SECONDS)
    return 1 if ended else 0


def _end_with_input() -> None:
    """End this process, and its workers, when its standard input is closed."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SHUTDOWN_SECONDS + 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])))
