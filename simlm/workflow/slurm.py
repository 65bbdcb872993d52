"""Stages as jobs of the Slurm workload manager, through experimaestro's launcher.

The driver runs where jobs are submitted; results and this environment must lie on a file system that nodes share. A
stage that several processes can do together has all the nodes that were asked for, any other stage one of them.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experimaestro.launchers.slurm import SlurmOptions

from simlm.errors import UserError
from simlm.workflow.launchers import SlurmLauncher, on_one_node
from simlm.workflow.resources import Choices, share_of_node
from simlm.workflow.slurm_jobs import command

WHOLE_JOBS = ("gpus", "nodelist", "ntasks_per_node")
"""Options that cannot be the same for jobs of several nodes, with one task on each, and for those of one."""


def slurm_launcher(options: Sequence[str], choices: Choices) -> SlurmLauncher:
    """Return a launcher that submits each stage with these options of sbatch, written "key=value".

    UserError for an unknown option, for one that sbatch refuses, where there is no sbatch, and for nodes that cannot
    share a stage's processes.
    """
    known = [field.name for field in dataclasses.fields(SlurmOptions)]
    values: dict[str, Any] = {}
    for option in options:
        key, _, value = option.partition("=")
        key = key.replace("-", "_")
        if key not in known or not value:
            raise UserError(f"--slurm {option}: write key=value with one of these keys: {', '.join(known)}")
        values[key] = value
    _check_nodes(values, choices.processes)
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise UserError("--slurm: there is no sbatch here; run the command where Slurm jobs are submitted")
    launcher = SlurmLauncher(choices, SlurmOptions(**values), Path(sbatch).parent)
    for jobs in (launcher.options, on_one_node(launcher.options)):
        _check_submission(jobs)
    return launcher


def asks_for_gpus(options: SlurmOptions) -> bool:
    """Return whether jobs with these options of sbatch get GPUs, as far as their names tell."""
    names = f"{options.partition} {options.qos} {options.constraint}".lower()
    return "gpu" in names or any((options.gpus, options.gpus_per_node, options.mem_per_gpu))


def _check_submission(options: SlurmOptions) -> None:
    """Have sbatch say whether it would take a job; it submits none."""
    words = options.args()
    answer = command("sbatch", "--test-only", *words, "--wrap=true")
    if answer is None or answer.returncode:
        said = answer.stderr.replace("sbatch: error: ", "").split("\n") if answer else ["it does not answer"]
        reason = "; ".join(line.strip() for line in said if line.strip())
        raise UserError(
            f"--slurm: sbatch refuses a job with {' '.join(words)}: {reason}; mend that, or wait for such nodes"
        )


def _check_nodes(values: dict[str, Any], processes: int) -> None:
    nodes = values.get("nodes", "1")
    if not nodes.isdecimal() or int(nodes) < 1:
        raise UserError(f"--slurm nodes={nodes}: give one number, 1 or more")
    values["nodes"] = int(nodes)
    if int(nodes) == 1:
        return
    share = share_of_node(processes, int(nodes))
    for key in WHOLE_JOBS:
        if key in values:
            raise UserError(f"--slurm {key}={values[key]}: leave it out with several nodes; gpus_per_node counts GPUs")
    gpus = str(values.get("gpus_per_node", share)).rpartition(":")[2]
    if gpus.isdecimal() and int(gpus) < share:
        raise UserError(
            f"--slurm gpus_per_node={values['gpus_per_node']}: --processes {processes} on {nodes} nodes are {share} on "
            "each, and each needs a GPU; choose fewer processes"
        )
