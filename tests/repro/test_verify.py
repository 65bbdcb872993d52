"""A published table that is run again, with a command that writes what a test says."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.model import Estimate, Report
from repro import verify
from repro.command import Options
from repro.verify import VerifyOptions
from simlm.errors import UserError


def write(report: Report, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report.as_dict()), encoding="utf-8")


@pytest.fixture
def again(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Publish the report as table2, have its command write another one, and verify it."""
    write(report, tmp_path / "published" / "smoke", "table2")

    def run(now: Report, tolerance: float = 0.001) -> bool:
        def command(name: str, options: Options) -> None:
            assert options.precision == "float32", "that of a report which names none"
            write(now, options.results / options.scale / options.variant, name)

        monkeypatch.setattr(verify, "run_report", command)
        options = VerifyOptions("table2", scale="smoke", results=tmp_path / "results", tolerance=tolerance)
        return verify.run(options, tmp_path / "published")

    return run


@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_the_precision_is_that_of_the_published_report(
    asked: str, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = copy.deepcopy(report)
    report.provenance |= {"method": {"precision": "bfloat16"}}
    write(report, tmp_path / "published" / ("smoke" if asked == "auto" else "smoke-bfloat16"), "table2")

    def command(name: str, options: Options) -> None:
        assert options.precision == "bfloat16"
        write(report, options.results / options.scale / options.variant, name)

    monkeypatch.setattr(verify, "run_report", command)
    assert verify.run(VerifyOptions("table2", scale="smoke", results=tmp_path, precision=asked), tmp_path / "published")


def moved(report: Report, key: str, by: float) -> Report:
    """The report with one row's first measure `by` higher."""
    now = copy.deepcopy(report)
    measured = now.row(key).measured or {}
    found = measured["RR@10"]
    measured["RR@10"] = Estimate(found.mean + by, found.low, found.high)
    return now


def test_the_same_figures_are_met(
    again: Callable[..., bool], report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    assert again(report) and again(moved(report, "simlm", 0.0009))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("met ") for line in lines) == 2 * 3
    assert not any("ANCE" in line for line in lines), "of the paper only"


def test_a_figure_beyond_the_tolerance_is_off_and_by_how_much(
    again: Callable[..., bool], report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    now = moved(report, "simlm", -0.02)
    assert not again(now)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("off ")]
    assert line.startswith("off  SimLM: RR@10 0.") and line.endswith("(-0.0200)") and "R@50" not in line
    assert again(now, tolerance=0.021)


def test_a_row_that_one_of_both_lacks_is_off(
    again: Callable[..., bool], report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    now = copy.deepcopy(report)
    now.row("base").key, (now.row("simlm").measured or {})["nDCG@20"] = "other", Estimate(0.1, 0.1, 0.1)
    now.comparisons, now.claims, now.baselines = [], [], ["bm25"]
    assert not again(now)
    said = capsys.readouterr().out
    assert "off  no further pre-training: published, and not measured now" in said
    assert "off  no further pre-training: measured now, and not published" in said
    assert "off  SimLM: only one of both has nDCG@20" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "table3"}, "'table3' is no published table of runs: choose one of table2"),
        ({"scale": "mini"}, "no table is published at mini scale"),
        ({"scale": "tiny"}, "unknown scale"),
        ({"tolerance": -0.1}, "--tolerance -0.1: choose"),
        ({"tolerance": float("nan")}, "--tolerance nan: choose"),
        ({"processes": 0}, "--processes"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    again: Callable[..., bool], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"table": "table2", "scale": "smoke", "results": tmp_path / "results", **changes}
    with pytest.raises(UserError, match=message):
        verify.run(VerifyOptions(**options), tmp_path / "published")
    assert not (tmp_path / "results").exists()
