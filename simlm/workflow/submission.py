"""How a stage is submitted to Slurm: its own process on one node, from where it starts workers on all of its job's."""

import dataclasses
from pathlib import Path
from typing import Any

from experimaestro.launchers.slurm import SlurmLauncher
from experimaestro.launchers.slurm.base import SlurmScriptBuilder

STEP = "\nsrun ./"


class Launcher(SlurmLauncher):
    """Experimaestro's, which would start a stage once on each node of its job."""

    def scriptbuilder(self) -> SlurmScriptBuilder:
        return Script(self)

    def of_one_node(self) -> "Launcher":
        """The same for stages that one process does."""
        options = dataclasses.replace(self.options, nodes=1)
        return Launcher(options=options, interval=self.interval, binpath=str(self.binpath))


class Script(SlurmScriptBuilder):
    """A job's script. With several nodes a stage runs outside of any step, so that all are free for its workers'."""

    def write(self, job: Any) -> Path:
        path: Path = super().write(job)
        if self.launcher.options.nodes > 1:
            text = path.read_text(encoding="utf-8")
            if text.count(STEP) != 1:
                raise RuntimeError(f"{path}: experimaestro writes another script than this version of simlm knows")
            path.write_text(text.replace(STEP, "\n./"), encoding="utf-8")
        return path
