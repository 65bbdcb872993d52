"""Where stages run: as processes of this machine, forked by the stage server, or as jobs of Slurm.

Both are experimaestro launchers; a launcher's process builder is its seam for starting processes.
"""

import asyncio
import dataclasses
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
from experimaestro.connectors import Process, ProcessBuilder, ProcessState
from experimaestro.connectors.local import LocalConnector
from experimaestro.launchers.direct import DirectLauncher
from experimaestro.launchers.slurm import SlurmLauncher as ExperimaestroSlurmLauncher
from experimaestro.launchers.slurm import SlurmOptions
from experimaestro.launchers.slurm.base import SlurmScriptBuilder
from experimaestro.scriptbuilder import PythonScriptBuilder

from simlm.workflow.resources import Choices, cores
from simlm.workflow.server import stage_server
from simlm.workflow.slurm_jobs import SlurmBuilder
from simlm.workflow.stage import Stage

STEP = "\nsrun ./"
"""How experimaestro's Slurm script starts a stage."""


class LocalLauncher(DirectLauncher):
    """Start stages on this machine.

    Args:
        choices: how they compute.
        imports: modules that they need, which the server imports once.
    """

    def __init__(self, choices: Choices, imports: tuple[str, ...] = ()) -> None:
        super().__init__(LocalConnector())
        self.choices = choices
        self.imports = imports
        self.threads = cores()

    def for_stage(self, stage: Stage, behind: int) -> "LocalLauncher":
        """Return the launcher that starts a stage which has ``behind`` others waiting for it."""
        return LocalLauncher(
            dataclasses.replace(self.choices, behind=behind),
            ("experimaestro.run", type(stage).__module__, *stage.imports),
        )

    def scriptbuilder(self) -> PythonScriptBuilder:
        return LocalScript(self.choices)

    def processbuilder(self) -> ProcessBuilder:
        return ForkBuilder(self.imports)


class LocalScript(PythonScriptBuilder):
    """Write a stage's script, and the choices beside it."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self.choices = choices

    def write(self, job: Any) -> Path:
        self.choices.write(job.path)
        path: Path = super().write(job)
        return path


class ForkBuilder(ProcessBuilder):
    """Start a stage's script as a fork of the stage server."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        super().__init__()
        self.imports = imports

    def start(self, task_mode: bool = False) -> "ForkedProcess":
        environment = {**os.environ, **self.environ}
        logs = (self.stdout.path, self.stderr.path)
        started = stage_server().start(self.command[0], self.workingDirectory, self.imports, logs, environment)
        return ForkedProcess(started.pid, started.status)


class ForkedProcess(Process):
    """A stage's process, which is a child of the server and not of this process."""

    def __init__(self, pid: int, status: "Future[int | None]") -> None:
        self.pid = pid
        self.status = status

    def tospec(self) -> dict[str, Any]:
        """What experimaestro writes down of the process: a later command finds it by its number and start time."""
        spec: dict[str, Any] = {"type": "local", "pid": self.pid}
        try:
            return spec | {"started": psutil.Process(self.pid).create_time()}
        except psutil.NoSuchProcess:  # it has ended already
            return spec

    def wait(self) -> int | None:
        return self.status.result()

    async def aio_wait(self) -> int | None:
        # Shielded: a command that stops watching must not cancel what the server will report.
        return await asyncio.shield(asyncio.wrap_future(self.status))

    async def aio_state(self, timeout: float | None = None) -> ProcessState:
        if not self.status.done():
            return ProcessState.RUNNING
        return ProcessState.DONE if self.status.result() == 0 else ProcessState.ERROR

    def kill(self) -> None:
        psutil.Process(self.pid).kill()


class SlurmLauncher(ExperimaestroSlurmLauncher):
    """Submit each stage as one Slurm job. Experimaestro's own would start a stage once on each node of its job.

    Args:
        choices: how stages compute.
        options: sbatch's options.
        binpath: the folder of Slurm's commands.
    """

    def __init__(self, choices: Choices, options: SlurmOptions, binpath: Path) -> None:
        super().__init__(options=options, binpath=binpath)
        self.choices = dataclasses.replace(choices, alone=True)
        self.threads = int(options.cpus_per_task or 1)

    def for_stage(self, stage: Stage, behind: int) -> "SlurmLauncher":
        """Return the launcher that submits a stage: one that a single process does has one node."""
        options = self.options if stage.shared else on_one_node(self.options)
        return SlurmLauncher(self.choices, options, self.binpath)

    def scriptbuilder(self) -> SlurmScriptBuilder:
        return SlurmScript(self)

    def processbuilder(self) -> ProcessBuilder:
        return SlurmBuilder()


def on_one_node(options: SlurmOptions) -> SlurmOptions:
    """Return the options of a job for a stage that a single process does."""
    return dataclasses.replace(options, nodes=1)


class SlurmScript(SlurmScriptBuilder):
    """Write a job's script. With several nodes the stage runs outside of any step, so that its workers' may use all."""

    def write(self, job: Any) -> Path:
        self.launcher.choices.write(job.path)
        path: Path = super().write(job)
        if self.launcher.options.nodes > 1:
            text = path.read_text(encoding="utf-8")
            if text.count(STEP) != 1:
                raise RuntimeError(f"{path}: experimaestro writes another script than this version of simlm knows")
            path.write_text(text.replace(STEP, "\n./"), encoding="utf-8")
        return path


Launcher = LocalLauncher | SlurmLauncher
