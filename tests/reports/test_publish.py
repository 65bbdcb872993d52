"""Publishing and printing a report."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from reports.files import publish
from reports.model import Report
from reports.terminal import print_report
from simlm.errors import UserError


def test_publish_copies_the_report_and_nothing_else(written: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in written.iterdir())
    for other in ("table2.trec", "table20.md", "runs/table2.json"):
        (written / other).parent.mkdir(exist_ok=True)
        (written / other).write_text("other", encoding="utf-8")
    target = tmp_path / "reports" / "smoke"
    target.mkdir(parents=True)
    for name in ("table20.md", "README.md", "table2-old.svg"):  # the last is of an earlier report
        (target / name).write_text("kept", encoding="utf-8")

    copied = publish(written, "table2", "smoke", tmp_path / "reports")
    assert sorted(path.name for path in copied) == names
    assert sorted(path.name for path in target.iterdir()) == sorted([*names, "README.md", "table20.md"])
    assert all(path.read_bytes() == (written / path.name).read_bytes() for path in copied)


def test_publishing_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report table2.md"):
        publish(tmp_path, "table2", "smoke", tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_publishing_where_nothing_can_be_written_is_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(UserError, match="can't write"):
        publish(written, "table2", "smoke", tmp_path / "reports")


def printed(report: Report, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_report(report, console)
    return console.export_text()


def test_the_terminal_shows_rows_and_verdicts(report: Report) -> None:
    report.row("simlm").label = "SimLM [distilled]"
    text = printed(report, 160)
    assert "SimLM [distilled]" in text and "18.5" in text
    assert f"{(report.row('bm25').measured or {})['RR@10'].mean:.4f}" in text
    assert "reproduced: SimLM [distilled] above no further pre-training" in text


def test_the_terminals_tables_fit_80_columns(report: Report) -> None:
    text = printed(report, 80)
    assert "…" not in text and "18.5" in text
    assert all(f"− {key}" in text for key in report.baselines)
