"""Publishing and printing a report."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from reports.files import publish, write_report
from reports.model import Report
from reports.terminal import print_report
from simlm.errors import UserError


def test_publish_copies_the_report_and_nothing_else(report: Report, tmp_path: Path) -> None:
    results, root = tmp_path / "results", tmp_path / "reports"
    written = write_report(report, results)
    for other in ("table2.trec", "table20.md", "runs/table2.json"):
        (results / other).parent.mkdir(exist_ok=True)
        (results / other).write_text("other", encoding="utf-8")
    (root / "smoke").mkdir(parents=True)
    for kept in ("table20.md", "README.md"):
        (root / "smoke" / kept).write_text("kept", encoding="utf-8")
    (root / "smoke" / "table2-old.svg").write_text("of an earlier report", encoding="utf-8")

    copied = publish(results, "table2", "smoke", root)
    assert sorted(path.name for path in copied) == sorted(path.name for path in written)
    names = sorted(path.name for path in (root / "smoke").iterdir())
    assert names == sorted([path.name for path in written] + ["README.md", "table20.md"])
    for source, target in zip(sorted(written), sorted(copied), strict=True):
        assert source.read_bytes() == target.read_bytes()


def test_publishing_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report table2.md"):
        publish(tmp_path, "table2", "smoke", tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_publishing_where_nothing_can_be_written_is_refused(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "results")
    (tmp_path / "reports").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(UserError, match="can't write"):
        publish(tmp_path / "results", "table2", "smoke", tmp_path / "reports")


def test_the_terminal_shows_rows_and_verdicts(report: Report) -> None:
    report.row("simlm").label = "SimLM [distilled]"
    console = Console(width=160, record=True, file=io.StringIO())
    print_report(report, console)
    text = console.export_text()
    assert "SimLM [distilled]" in text and "18.5" in text
    assert f"{(report.row('bm25').measured or {})['RR@10'].mean:.4f}" in text
    assert "reproduced: SimLM [distilled] above no further pre-training" in text


def test_the_terminals_tables_fit_80_columns(report: Report) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    print_report(report, console)
    text = console.export_text()
    assert "…" not in text and "18.5" in text
    for key in report.baselines:
        assert f"− {key}" in text
