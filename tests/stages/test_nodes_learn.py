"""Encoding, searching and training on two nodes of Slurm: what two processes of one machine leave, at smoke size.

Each has one core here, and those of one machine maybe more, so that sums may have another order.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from simlm.scales import open_scale
from simlm.stages.pipeline import Pipeline
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import run
from tests.repro.commands import assert_same_run
from tests.slurm import allocation
from tests.workflow.drive import Lines


def retriever(submit: Any) -> None:
    """A retriever that trains on what its start finds before: two stages that are shared, and two that are not."""
    pipeline = Pipeline(open_scale("smoke"), 0, submit)
    start: Any = pipeline.random
    pipeline.retriever(start, pipeline.retrieve(start, "runs", mine=True), "retriever")


def jobs(results: Path) -> dict[str, Path]:
    launcher = LocalLauncher(Choices("cpu", processes=2))
    return {stage.name: stage.job for stage in run(retriever, results, Lines(), launcher)[0]}


@pytest.mark.slow
def test_nodes_learn_and_find_what_one_machine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    here = jobs(tmp_path / "here")
    shutil.copytree(tmp_path / "here" / "jobs", tmp_path / "there" / "jobs", symlinks=True)
    shared = {name: job.relative_to(tmp_path / "here") for name, job in here.items() if name in ("runs", "retriever")}
    for job in shared.values():
        shutil.rmtree(tmp_path / "there" / job)
    for name, value in allocation(tmp_path / "bin", 2).items():
        monkeypatch.setenv(name, value)
    there = jobs(tmp_path / "there")
    assert len((tmp_path / "bin" / "srun.calls").read_text().splitlines()) == len(shared) == 2
    assert {name: there[name].relative_to(tmp_path / "there") for name in shared} == shared
    for split in ("train", "valid", "test"):
        assert_same_run(here["runs"], there["runs"], split)
    logs = [json.loads((one["retriever"] / "output" / "losses.json").read_text()) for one in (here, there)]
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(losses[0]) > 1
