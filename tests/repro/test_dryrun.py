"""Dry runs: states, and estimates from the published report of the scale."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repro.command import Options, check
from repro.dryrun import print_plan
from repro.run import run_table
from repro.table2 import table2
from simlm.commands import estimate
from simlm.commands.estimate import published
from simlm.commands.machine import this_machine
from simlm.costs import needs
from simlm.costs.throughput import published_shares
from simlm.costs.work import Work
from simlm.errors import UserError
from simlm.workflow.manifest import MANIFEST, write_json
from simlm.workflow.plan import Planned


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


def working(folder: Path, kind: str, name: str, flop: float, seconds: float | None = None) -> Planned:
    """A stage with so much arithmetic, finished in some seconds or new."""
    job = folder / "jobs" / kind / name
    if seconds is not None:
        job.mkdir(parents=True)
        write_json(job / MANIFEST, {"attempts": [{"seconds": seconds}]})
    config: Any = SimpleNamespace(work=Work({"encode": flop} if flop else {}))
    return Planned(name, job, reason=None if seconds is not None else "new", config=config)


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "REPORTS", tmp_path)
    monkeypatch.setattr(estimate, "work_of", lambda config: config.work)


@pytest.mark.usefixtures("works")
def test_a_stage_takes_what_those_of_its_kind_took_for_as_much_arithmetic(tmp_path: Path) -> None:
    stages = [
        working(tmp_path, "kind", "short", 1e15, 10.0),
        working(tmp_path, "kind", "long", 3e15, 50.0),
        working(tmp_path, "kind", "next", 8e15),
        working(tmp_path, "other", "plain", 0.0, 7.0),
        working(tmp_path, "other", "plain too", 0.0),
    ]
    found = estimate.estimated(stages, "mini")
    seconds = {job.name: one for job, one in found.seconds.items()}
    assert seconds == {"short": 10, "long": 50, "next": 60 / 4 * 8, "plain": 7, "plain too": 7}
    assert found.throughput is None


@pytest.mark.usefixtures("works")
def test_what_was_never_measured_is_arithmetic_at_the_throughput_of_this_machine_or_of_one_that_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, _ = published_shares("as stages compute")
    stages = [working(tmp_path, "kind", "done", 1e15, 10.0), working(tmp_path, "kind", "next", 8e15)]
    new = working(tmp_path, "new kind", "new", 8e15)
    stated = {job.name: one for job, one in estimate.estimated([*stages, new], "mini", 800).seconds.items()}
    assert stated == {"done": 10, "next": pytest.approx(10 / share["encode"]), "new": stated["next"]}
    assert new.job not in estimate.estimated([*stages, new], "mini").seconds
    monkeypatch.setenv("SIMLM_GPUS", "0")
    monkeypatch.setattr(estimate, "gpu_bytes", lambda: 8e10)
    monkeypatch.setattr("simlm.costs.throughput._matrix_product", lambda: (4e14, "400 TFLOP/s, measured here"))
    found = estimate.estimated([*stages, new], "mini")
    assert {job.name: one for job, one in found.seconds.items()} == {"done": 10, "next": 80, "new": 2 * stated["new"]}
    said = estimate.summary([*stages, new], found, "mini", tmp_path)
    assert "by arithmetic: matrix products at 400 TFLOP/s, measured here" in said


def test_the_paper_on_a_gpu_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is fetched, and nothing written; disk and memory that lack are said, with a way out."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("SIMLM_SCALE", "paper")
    monkeypatch.delenv("SIMLM_GPUS", raising=False)
    monkeypatch.setattr(needs, "free_bytes", lambda folder: 10**9)
    results = tmp_path / "results"
    run_table(table2(), Options(scale="paper", results=results, dry_run=True, tflops=800.0))
    said = capsys.readouterr().out
    assert not results.exists()
    (line,) = [line.split() for line in said.splitlines() if "SimLM pre-training" in line and "to do: new" in line]
    assert "11,755" in line and line[-2:] == ["40.8", "GB"]
    seconds = sum(int(found.replace(",", "")) for found in re.findall(r"to do: new +about +([\d,]+) ", said))
    assert f"at least {seconds / 3600:.0f} h with one such GPU" in said
    assert "does not fit: --results" in said and "1.0 GB are free; free some space" in said
    assert "not the whole batch at once" not in said, "packs are made to fit"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(tflops=800.0), "--tflops changes nothing but the estimate of --dry-run"),
        (Options(tflops=-1.0, dry_run=True), "--tflops -1: give TFLOP/s"),
        (Options(tflops=float("nan"), dry_run=True), "--tflops nan: give TFLOP/s"),
    ],
)
def test_a_throughput_is_for_an_estimate(options: Options, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMLM_SCALE", "mini")
    with pytest.raises(UserError, match=said):
        check(options)
