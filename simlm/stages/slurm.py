"""Stages as jobs of the Slurm workload manager, through experimaestro's launcher.

The driver runs where jobs are submitted; results and this environment must lie on a file system that nodes share.
"""

import dataclasses
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simlm.errors import UserError

if TYPE_CHECKING:
    from experimaestro.launchers.slurm import SlurmLauncher

POLL_SECONDS = 15.0
"""How often Slurm's accounting is asked about all jobs at once."""


def slurm_launcher(options: Sequence[str]) -> "SlurmLauncher":
    """A launcher that submits each stage with these options of sbatch, written "key=value".

    UserError for an unknown option, and where there is no sbatch.
    """
    from experimaestro.launchers.slurm import SlurmLauncher, SlurmOptions

    known = [field.name for field in dataclasses.fields(SlurmOptions)]
    values: dict[str, Any] = {}
    for option in options:
        key, _, value = option.partition("=")
        key = key.replace("-", "_")
        if key not in known or not value:
            raise UserError(f"--slurm {option}: write key=value with one of these keys: {', '.join(known)}")
        values[key] = value
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise UserError("--slurm: there is no sbatch here; run the command where Slurm jobs are submitted")
    return SlurmLauncher(options=SlurmOptions(**values), interval=POLL_SECONDS, binpath=str(Path(sbatch).parent))


def cancel(jobs: Sequence[str]) -> None:
    """Ask Slurm to end jobs; those that have ended already are no matter."""
    if jobs and (scancel := shutil.which("scancel")):
        subprocess.run([scancel, *jobs], capture_output=True, check=False, timeout=60)
