"""What a rehearsal says at its end: how it judges the whole run, and what failed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from simlm.commands.judging import judge, search_seconds, seconds_an_update
from simlm.commands.rehearsal import Rehearsal
from simlm.commands.run_stages import TerminalDisplay
from simlm.errors import StageFailed
from simlm.files import write_sealed
from simlm.stages.models import public_model
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.plan import Planned
from simlm.workflow.resources import Choices
from tests.repro.commands import PATIENCE, ROOT
from tests.workflow.toy import SHAPES, Number

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
    rehearsal = Rehearsal(build, build, "smoke", Path(sys.argv[1]), LocalLauncher(Choices("cpu", search=sys.argv[2])))
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
    part = finished(tmp_path / "part", 9.0, {})
    for config, seconds in ((public_model("bert-base-uncased"), 9.0), (Number.C(value=1), None)):
        whole = Planned("a stage", tmp_path / "whole", config=config)
        assert judge(whole, replace(part, config=config), None, 5.0) == seconds, "of a class without a rule nothing"
    assert judge(planned(tmp_path / "whole"), planned(tmp_path / "failed"), None, 5.0) is None


def test_vectors_are_read_once_for_all_queries() -> None:
    found = {"queries": 256, "one_query_seconds": 30.0, "search_seconds": 30.0 + 0.255}
    assert search_seconds(500_000, found) == pytest.approx(30 + 499_999 * 0.001)
    assert search_seconds(0, found) == 0


def test_what_ran_in_another_way_is_tried_again(tmp_path: Path) -> None:
    def ran(search: str) -> set[Path]:
        """The stages that ran, by the times of what they left."""
        words = [sys.executable, "-c", COMMAND, str(tmp_path), search]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0 and "nothing was found that would stop" in done.stdout, done.stderr
        after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("rehearsal/jobs/*/*/manifest.json")}
        new = {path for path, at in after.items() if before.get(path) != at}
        before.update(after)
        return new

    before: dict[Path, int] = {}
    assert len(ran("torch")) == 6 and ran("torch") == set() and len(ran("faiss")) == 6


def test_a_disk_that_is_too_small_for_the_whole_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = SHAPES["leaf"]
    rehearsal = Rehearsal(build, build, "smoke", tmp_path, LocalLauncher(Choices("cpu")))
    stages = rehearsal.run(TerminalDisplay())[0]
    monkeypatch.setattr("simlm.costs.needs.free_bytes", lambda folder: -1)
    with pytest.raises(StageFailed, match="what would stop the whole run stands above"):
        rehearsal.end(stages)
    assert "what would stop the whole run:\n  --results" in capsys.readouterr().out


def test_a_stage_that_fails_ends_only_what_depends_on_it_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMLM_TOY_WRONG", "1")
    monkeypatch.setenv("COLUMNS", "160")
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, str(tmp_path), "torch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 1 and "3 of 6 stages of the rehearsal; the same command" in ran.stderr.splitlines()[-1]
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert ["wrong", "failed", "–", "unknown", "unknown"] in lines
    assert ["above", "wrong", "left", "out", "–", "unknown", "unknown"] in lines
    assert any(line[:3] == ["top", "of", "right"] and line[4] == "s" for line in lines)
    assert ran.stdout.count("the seventh wheel came off") == 1, "what depends on it does not say so again"
