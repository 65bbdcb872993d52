"""Dry runs: states, and estimates from the published report of the scale."""

import json
from pathlib import Path

import pytest

from repro.dryrun import print_plan
from simlm.commands import estimate
from simlm.commands.estimate import published_seconds
from simlm.stages.manifest import MANIFEST, write_json
from simlm.stages.plan import Planned


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    monkeypatch.setenv("COLUMNS", "160")
    job = tmp_path / "jobs" / "kind" / "0123456789abcdef"
    job.mkdir(parents=True)
    write_json(job / MANIFEST, {"attempts": [{"seconds": 10.4}, {"seconds": 2.0}]})
    return [
        Planned("collection", job),
        Planned("base [MLM]", job.with_name("fedcba9876543210"), reason="new"),
        Planned("fusion", tmp_path / "jobs" / "another" / "00000000000000", reason="unfinished"),
    ]


def report(folder: Path, content: object) -> None:
    (folder / "mini").mkdir(exist_ok=True)
    (folder / "mini" / "table2.json").write_text(json.dumps(content))


def test_estimates_come_from_the_published_report(
    stages: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    report(tmp_path, {"stages": [{"name": "base [MLM]", "seconds": 90}, {"name": "collection", "seconds": 8}]})
    print_plan(stages, "mini")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["collection", "0123456789ab", "valid", "took", "12"] in lines
    assert ["base", "[MLM]", "fedcba987654", "to", "do:", "new", "about", "90"] in lines
    assert ["fusion", "00000000000000"[:12], "to", "do:", "unfinished", "unknown"] in lines
    last = " ".join(lines[-1])
    assert last == "2 of 3 stages to do, about 2 min of one slot, 2 slots on a CPU; 1 without an estimate"


@pytest.mark.parametrize("content", [None, [], {}, {"stages": [{"name": "base"}]}, {"stages": 3}])
def test_without_a_usable_report_or_a_stage_like_it_there_is_no_estimate(
    content: object,
    stages: list[Planned],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    if content is not None:
        report(tmp_path, content)
    assert published_seconds("mini") == {}
    print_plan(stages[1:], "mini")
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 stages to do; 2 without an estimate"
