"""What a rehearsal says at its end: how it judges the whole run, and what failed."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from simlm.commands.rehearsal import judge, seconds_an_update
from simlm.files import write_sealed
from simlm.workflow.plan import Planned
from tests.repro.commands import PATIENCE, ROOT

COMMAND = """
import sys
from pathlib import Path
from simlm.commands.leave import leave_by
from simlm.commands.rehearsal import Rehearsal
from simlm.commands.run_stages import TerminalDisplay
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.resources import Choices
from tests.workflow.toy import SHAPES

def work():
    build = SHAPES["two trees"]
    rehearsal = Rehearsal(build, build, "smoke", Path(sys.argv[1]) / "rehearsal", LocalLauncher(Choices("cpu")))
    rehearsal.end(rehearsal.run(TerminalDisplay())[0])

leave_by(work)
"""


def finished(job: Path, seconds: float, numbers: dict[str, Any], steps: int = 0) -> Planned:
    """A stage that took so long, and trained so many updates if any."""
    manifest: dict[str, Any] = {"outputs": {}, "inputs": {}, "numbers": numbers, "attempts": [{"seconds": seconds}]}
    job.mkdir()
    write_sealed(job / "manifest.json", manifest)
    return planned(job, steps)


def planned(job: Path, steps: int = 0) -> Planned:
    config: Any = SimpleNamespace(settings=SimpleNamespace(optimisation=SimpleNamespace(steps=steps)))
    return Planned("a stage", job, config=config)


def logged(job: Path, times: list[float]) -> None:
    """A training's log, an entry an update, as the Trainer leaves it for TensorBoard."""
    writer = EventFileWriter(str(job / "tensorboard"))
    for step, time in enumerate(times):
        value = Summary.Value(tag="train/loss", simple_value=1.0)
        writer.add_event(Event(wall_time=time, step=step, summary=Summary(value=[value])))
    writer.close()


def test_a_training_takes_longer_by_its_updates_without_checkpoints(tmp_path: Path) -> None:
    part = finished(tmp_path / "part", 60.0, {}, steps=8)
    assert seconds_an_update(part.job) is None
    logged(part.job, [100, 102, 107, 109, 114, 116, 121, 123])  # a checkpoint takes 3 seconds
    assert seconds_an_update(part.job) == pytest.approx(2)
    assert judge(planned(tmp_path / "whole", 1_008), part, None, 5.0) == pytest.approx(60 + 2 * 1_000)


def test_what_has_no_more_to_do_takes_as_long_and_what_failed_is_not_judged(tmp_path: Path) -> None:
    assert judge(planned(tmp_path / "whole"), finished(tmp_path / "part", 9.0, {}), None, 5.0) == 9.0
    assert judge(planned(tmp_path / "whole"), planned(tmp_path / "failed"), None, 5.0) is None


def test_a_stage_that_fails_ends_only_what_depends_on_it_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMLM_TOY_WRONG", "1")
    monkeypatch.setenv("COLUMNS", "160")
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 1 and "3 of 6 stages of the rehearsal; the same command" in ran.stderr.splitlines()[-1]
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert ["wrong", "failed", "–", "unknown", "unknown"] in lines
    assert ["above", "wrong", "left", "out", "–", "unknown", "unknown"] in lines
    assert any(line[:3] == ["top", "of", "right"] and line[4] == "s" for line in lines)
    assert ran.stdout.count("the seventh wheel came off") == 1, "what depends on it does not say so again"
