"""Dry runs: states, and estimates from reports, from stages that ran, and from arithmetic."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simlm.commands import dryrun, estimate
from simlm.commands.checks import check_tflops
from simlm.commands.dryrun import print_plan, summary
from simlm.commands.estimate import estimated, published
from simlm.commands.machine import this_machine
from simlm.costs.throughput import published_shares
from simlm.costs.work import Work
from simlm.errors import UserError
from simlm.files import write_sealed
from simlm.workflow.manifest import MANIFEST
from simlm.workflow.plan import Planned
from simlm.workflow.resources import Choices


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of published reports, which has none, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    (tmp_path / "mini").mkdir()
    return tmp_path


def report(folder: Path, content: object) -> None:
    (folder / "mini" / "table2.json").write_text(json.dumps(content))


@pytest.fixture
def stages(tmp_path: Path) -> list[Planned]:
    job = tmp_path / "jobs" / "kind" / "0123456789abcdef"
    job.mkdir(parents=True)
    write_sealed(job / MANIFEST, {"attempts": [{"seconds": 10.4}, {"seconds": 2.0}]})
    return [
        Planned("collection", job),
        Planned("base [MLM]", job.with_name("fedcba9876543210"), reason="new"),
        Planned("fusion", tmp_path / "jobs" / "another" / "00000000000000", reason="unfinished"),
    ]


def test_estimates_come_from_the_published_report(
    stages: list[Planned], reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(reports, {"stages": [{"name": "base [MLM]", "seconds": 90}, {"name": "collection", "seconds": 8}]})
    print_plan(stages, "mini", reports, Choices())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["collection", "0123456789ab", "finished", "took", "12"] in lines
    assert ["base", "[MLM]", "fedcba987654", "to", "do:", "new", "about", "90"] in lines
    assert ["fusion", "000000000000", "to", "do:", "unfinished", "unknown"] in lines
    assert " ".join(lines[-2]) == (
        "2 of 3 stages to do, about 2 min of work: at least 1 min with 2 slots on a CPU; 1 without an estimate"
    )
    assert " ".join(lines[-1]).startswith("measured on unknown processor. This machine is ")


GPUS = {"cpu": {"model": "any"}, "gpu": [{"architecture": "Fast GPU"}] * 4}


@pytest.mark.parametrize(
    ("here", "hardware", "said"),
    [
        ("Good CPU, 2 cores", {"cpu": {"model": "Good CPU", "number of cores": 2}}, "measured on Good CPU, 2 cores"),
        (
            "Good CPU, 2 cores",
            {"cpu": {"model": "Good CPU", "number of cores": 64}},
            "measured on Good CPU, 64 cores. This machine is Good CPU, 2 cores: where that is another kind, expect "
            "other times",
        ),
        ("4 x Fast GPU", GPUS, "measured on 4 x Fast GPU"),
    ],
)
def test_an_estimate_says_where_it_was_measured_and_whether_that_is_another_machine(
    here: str, hardware: Any, said: str, stages: list[Planned], reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "this_machine", lambda choices: here)
    choices = Choices(gpus=("0", "1", "2", "3") if "gpu" in hardware else ())
    provenance = {"platform": {"hardware": hardware}}
    report(reports, {"stages": [{"name": "base [MLM]", "seconds": 2400}], "provenance": provenance})
    line, where = summary(stages, estimated(stages, "mini", choices), "mini", reports).splitlines()
    assert where == said
    if "gpu" in hardware:
        assert "about 40 min of work: at least 10 min with 4 GPUs, one stage on each" in line
    assert "at least" in line and (hardware is GPUS or this_machine(choices))


@pytest.mark.parametrize("content", [None, [], {}, {"stages": [{"name": "base"}]}, {"stages": 3}])
def test_without_a_usable_report_or_a_stage_like_it_there_is_no_estimate(
    content: object, stages: list[Planned], reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        report(reports, content)
    assert published("mini") == {}
    print_plan(stages[1:], "mini", reports, Choices())
    *_, line, advice = capsys.readouterr().out.splitlines()
    assert line == "2 of 2 stages to do; 2 without an estimate"
    assert advice.startswith(
        "no report of mini scale is published: run one table (python -m repro.table2 --scale mini)"
    )


def stage(folder: Path, kind: str, name: str, flop: float = 0.0, seconds: float | None = None) -> Planned:
    """A stage with so much arithmetic, finished in some seconds or new."""
    job = folder / "jobs" / kind / name
    if seconds is not None:
        job.mkdir(parents=True)
        write_sealed(job / MANIFEST, {"attempts": [{"seconds": seconds}]})
    config: Any = SimpleNamespace(work=Work({"encode": flop} if flop else {}))
    return Planned(name, job, reason=None if seconds is not None else "new", config=config)


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that say themselves what they need."""
    monkeypatch.setattr(estimate, "work_of", lambda config: config.work)


@pytest.mark.usefixtures("works")
def test_a_stage_is_estimated_from_itself_then_another_seed_then_the_published_then_its_kind(reports: Path) -> None:
    report(reports, {"stages": [{"name": "mlm", "seconds": 50}, {"name": "base", "seconds": 1000}]})
    stages = [
        stage(reports, "pretrained", "base", seconds=10.0),
        stage(reports, "pretrained", "base, seed 1"),
        stage(reports, "pretrained", "mlm"),
        stage(reports, "pretrained", "condenser"),
        stage(reports, "retrieve", "runs"),
    ]
    found = {job.name: seconds for job, seconds in estimated(stages, "mini", Choices()).seconds.items()}
    assert found == {"base": 10, "base, seed 1": 10, "mlm": 50, "condenser": (10 + 10 + 50) / 3}


@pytest.mark.usefixtures("works")
def test_a_stage_takes_what_those_of_its_kind_took_for_as_much_arithmetic(tmp_path: Path) -> None:
    stages = [
        stage(tmp_path, "kind", "short", 1e15, 10.0),
        stage(tmp_path, "kind", "long", 3e15, 50.0),
        stage(tmp_path, "kind", "next", 8e15),
        stage(tmp_path, "other", "plain", 0.0, 7.0),
        stage(tmp_path, "other", "plain too"),
    ]
    found = estimated(stages, "mini", Choices())
    seconds = {job.name: one for job, one in found.seconds.items()}
    assert seconds == {"short": 10, "long": 50, "next": 60 / 4 * 8, "plain": 7, "plain too": 7}
    assert found.throughput is None


@pytest.mark.usefixtures("works")
def test_what_was_never_measured_is_arithmetic_at_the_throughput_of_this_machine_or_of_one_that_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, _ = published_shares()
    new = stage(tmp_path, "new kind", "new", 8e15)
    stages = [stage(tmp_path, "kind", "done", 1e15, 10.0), stage(tmp_path, "kind", "next", 8e15), new]
    stated = {job.name: one for job, one in estimated(stages, "mini", Choices(), 800).seconds.items()}
    assert stated == {"done": 10, "next": pytest.approx(10 / share["encode"]), "new": stated["next"]}
    assert new.job not in estimated(stages, "mini", Choices()).seconds
    monkeypatch.setattr(dryrun, "gpu_bytes", lambda choices: 8e10)
    monkeypatch.setattr("simlm.costs.throughput.matrix_peak", lambda device: 4e14)
    monkeypatch.setattr(estimate, "this_machine", lambda choices: "a GPU")
    found = estimated(stages, "mini", Choices(gpus=("0",)))
    assert {job.name: one for job, one in found.seconds.items()} == {"done": 10, "next": 80, "new": 2 * stated["new"]}
    said = summary(stages, found, "mini", tmp_path)
    assert "by arithmetic: matrix products at 400 TFLOP/s, measured here" in said


@pytest.mark.parametrize(
    ("tflops", "dry_run", "said"),
    [
        (800.0, False, "--tflops changes nothing but the estimate of --dry-run"),
        (-1.0, True, "--tflops -1: give TFLOP/s"),
        (float("nan"), True, "--tflops nan: give TFLOP/s"),
    ],
)
def test_a_throughput_is_for_an_estimate(tflops: float, dry_run: bool, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_tflops(tflops, dry_run)
