"""Stands in for Slurm's srun: an allocation of nodes that are all this machine."""

import os
import sys
from pathlib import Path

SRUN = '''
"""srun --nodes=N OPTIONS COMMAND: starts it once for each node, with its input, and ends all when one fails."""
import os, signal, subprocess, sys

words = sys.argv[1:]
options = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
command = words[len(options):]
if not options:  # a step of one task
    os.execv(command[0], command)
nodes = int(options["nodes"])
assert options["cpus-per-task"] == "1"
assert options["ntasks"] == options["nodes"] and options["ntasks-per-node"] == options["kill-on-bad-exit"] == "1"
with open(__file__ + ".calls", "a") as calls:
    print(*words, file=calls)

def end(*_):
    for task in tasks.values():
        task.terminate()

tasks = {}
cores = sorted(os.sched_getaffinity(0))
signal.signal(signal.SIGTERM, end)
for node in range(nodes):
    own = {"SLURM_NODEID": str(node), "SLURM_PROCID": str(node), "SLURMD_NODENAME": "localhost"}
    os.sched_setaffinity(0, {cores[node % len(cores)]})  # one for each, as asked for
    task = subprocess.Popen(command, env=os.environ | own | {"SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"})
    tasks[task.pid] = task
worst = 0
while tasks:
    number, status = os.wait()
    tasks.pop(number).returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        worst = worst or abs(code)
        end()
sys.exit(worst)
'''


def allocation(folder: Path, nodes: int) -> dict[str, str]:
    """The environment of a job of so many nodes, whose srun lies in ``folder``."""
    folder.mkdir()
    put_srun(folder)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {"SLURM_JOB_NUM_NODES": str(nodes), "SLURM_CPUS_PER_TASK": "1", "PATH": path}


def put_srun(folder: Path) -> None:
    """Put srun there."""
    srun = folder / "srun"
    srun.write_text(f"#!{sys.executable}\n{SRUN}")
    srun.chmod(0o755)
