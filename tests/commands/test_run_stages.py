"""The display of a run where there is no terminal: a line for each stage that starts or ends, none twice."""

from pathlib import Path

import pytest

from simlm.commands.run_stages import TerminalDisplay
from simlm.workflow.plan import Planned
from simlm.workflow.scheduler import StageStatus


def test_a_line_whenever_a_stage_starts_or_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (Planned(name, tmp_path / name) for name in ("base [MLM]", "fusion"))
    with TerminalDisplay() as display:
        display.say("x" * 200 + " is made again: [bold] is missing")
        display.show([StageStatus(one, "waiting"), StageStatus(other, "waiting")])
        display.show([StageStatus(one, "running"), StageStatus(other, "waiting")])
        display.show([StageStatus(one, "waiting"), StageStatus(other, "waiting")])
        display.show([StageStatus(one, "running", "steps", 3, 10), StageStatus(other, "waiting")])
        display.show([StageStatus(one, "done"), StageStatus(other, "failed")])
    output, errors = capsys.readouterr()
    assert output == ""
    said, *lines = errors.splitlines()
    assert said.endswith("x is made again: [bold] is missing")
    assert [line.strip().split("  ", 1)[1] for line in lines] == [
        "base [MLM]: running  (0/2 stages done)",
        "base [MLM]: done  (1/2 stages done)",
        "fusion: failed  (1/2 stages done)",
    ]
