"""Dry runs: states, and estimates from the published report of the scale."""

import json
from pathlib import Path

import pytest

from repro.dryrun import print_plan
from simlm.commands import estimate
from simlm.commands.estimate import published
from simlm.commands.machine import this_machine
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
    print_plan(stages, "mini", tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["collection", "0123456789ab", "valid", "took", "12"] in lines
    assert ["base", "[MLM]", "fedcba987654", "to", "do:", "new", "about", "90"] in lines
    assert ["fusion", "00000000000000"[:12], "to", "do:", "unfinished", "unknown"] in lines
    assert " ".join(lines[-2]) == (
        "2 of 3 stages to do, about 2 min of work: at least 1 min with 2 slots on a CPU; 1 without an estimate"
    )
    assert " ".join(lines[-1]).startswith("measured on unknown processor. This machine is ")


@pytest.mark.parametrize("same", [True, False])
def test_an_estimate_says_where_it_was_measured_and_whether_that_is_another_machine(
    same: bool, stages: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    monkeypatch.setattr(estimate, "this_machine", lambda: "Good CPU, 2 cores")
    cpu = {"model": "Good CPU", "number of cores": 2 if same else 64}
    platform = {"platform": {"hardware": {"cpu": cpu}}}
    report(tmp_path, {"stages": [{"name": "base [MLM]", "seconds": 90}], "provenance": platform})
    _, where = estimate.summary(stages, estimate.estimated(stages, "mini"), "mini", tmp_path).splitlines()
    assert where.startswith(f"measured on Good CPU, {cpu['number of cores']} cores")
    assert ("This machine is Good CPU, 2 cores: where that is another kind, expect other times" in where) != same
    assert this_machine()


def test_wall_time_is_for_the_gpus_that_there_are(
    stages: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    monkeypatch.setattr(estimate, "this_machine", lambda: "4 x Fast GPU")
    monkeypatch.setenv("SIMLM_GPUS", "0,1,2,3")
    gpus = {"platform": {"hardware": {"cpu": {"model": "any"}, "gpu": [{"architecture": "Fast GPU"}] * 4}}}
    report(tmp_path, {"stages": [{"name": "base [MLM]", "seconds": 2400}], "provenance": gpus})
    line, where = estimate.summary(stages, estimate.estimated(stages, "mini"), "mini", tmp_path).splitlines()
    assert "about 40 min of work: at least 10 min with 4 GPUs, one stage on each" in line
    assert where == "measured on 4 x Fast GPU"


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
    assert published("mini") == {}
    print_plan(stages[1:], "mini", tmp_path)
    *_, line, advice = capsys.readouterr().out.splitlines()
    assert line == "2 of 2 stages to do; 2 without an estimate"
    assert advice.startswith(
        "no report of mini scale is published: run one table (python -m repro.table2 --scale mini)"
    )
