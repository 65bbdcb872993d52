"""Running the real command, and reading what it leaves."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.workflow.driving import hear_signals

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900.0


def start(*arguments: str, table: str = "table2", scale: str = "smoke", **environment: str) -> subprocess.Popen[str]:
    """`python -m repro.table2`, or another table's command, running."""
    return subprocess.Popen(
        [sys.executable, "-m", f"repro.{table}", "--scale", scale, *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )


def table2(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m repro.table2` at smoke scale to its end."""
    return finished(start(*arguments, **environment))


def released(table: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a table's command with published checkpoints, without the Hub, to its end."""
    return finished(start("--released", *arguments, table=table, scale="paper", HF_HUB_OFFLINE="1", **environment))


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """A command that ran to its end."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in errors, errors
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@dataclass(frozen=True)
class Results:
    """A results folder with a finished table, and what the command printed."""

    folder: Path
    printed: str = ""

    @property
    def report(self) -> dict[str, Any]:
        """The JSON twin of Table 2's report."""
        return self.twin("table2")

    def page(self, name: str) -> Path:
        """The report of that name, whichever its rows."""
        (path,) = (self.folder / "smoke").rglob(f"{name}.md")
        return path

    def twin(self, name: str) -> dict[str, Any]:
        """The JSON twin of the report of that name."""
        content: dict[str, Any] = json.loads(self.page(name).with_suffix(".json").read_text(encoding="utf-8"))
        return content

    def stages(self, name: str) -> dict[str, str]:
        """The identifiers of the stages of the report of that name, by the names of stages."""
        return {stage["name"]: stage["identifier"] for stage in self.twin(name)["stages"]}

    def job(self, name: str, report: str = "table2") -> Path:
        """The folder of the stage of that name."""
        (job,) = self.folder.glob(f"jobs/*/{self.stages(report)[name]}")
        return job

    def runs(self) -> dict[str, str]:
        """The sha256 of the run file of each measured row, which is what its figures come from."""
        return {row["key"]: row["run"]["sha256"] for row in self.report["rows"] if row["run"]}

    def measured(self) -> dict[str, Any]:
        """The measured figures of each row, intervals included."""
        return {row["key"]: row["measured"] for row in self.report["rows"]}

    def copy(self, folder: Path, without: tuple[str, ...] = ()) -> "Results":
        """The same at another place, without the stages of these names, and without a report."""
        jobs = [self.job(name) for name in without]
        shutil.copytree(self.folder, folder, symlinks=True)
        for job in jobs:
            shutil.rmtree(folder / job.relative_to(self.folder))
        shutil.rmtree(folder / "smoke")
        return Results(folder)


def assert_same_run(one: Path, other: Path, split: str) -> None:
    """Two stages' scores are equal up to rounding; passages change places only where their scores are that near."""
    (scores, indices), (other_scores, other_indices) = [
        [np.load(job / "output" / f"{split}.{part}.npy") for part in ("scores", "indices")] for job in (one, other)
    ]
    np.testing.assert_allclose(other_scores, scores, atol=1e-5)
    for ours, theirs, value in zip(indices, other_indices, scores, strict=True):
        score_of = dict(zip(ours.tolist(), value.tolist(), strict=True))
        moved = [score_of.get(passage, value[-1]) for passage in theirs.tolist()]
        np.testing.assert_allclose(moved, value, atol=2e-5)


def listing(folder: Path) -> dict[str, int]:
    """Every file and folder below one, with the time of its last change."""
    return {path.relative_to(folder).as_posix(): path.lstat().st_mtime_ns for path in folder.rglob("*")}
