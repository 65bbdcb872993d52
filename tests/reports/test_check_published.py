"""Published pages are what their JSON renders to."""

from pathlib import Path

import pytest

from reports.check_published import CheckOptions, main
from reports.files import read_report, write_report
from reports.model import Report

README = "# Title\n<!-- report: begin -->\n{}<!-- report: end -->\nmore\n"


@pytest.fixture
def root(report: Report, tmp_path: Path) -> Path:
    """A repository that has published one report and quotes it."""
    write_report(report, tmp_path / "reports" / "mini", "table2")
    (tmp_path / "README.md").write_text(README.format(""), encoding="utf-8")
    assert main(CheckOptions(write=True), tmp_path) == 0
    return tmp_path


def test_nothing_published_yet_and_pages_as_they_were_written_pass(root: Path, tmp_path: Path) -> None:
    assert main(CheckOptions(), tmp_path / "empty") == 0
    assert main(CheckOptions(), root) == 0


def test_a_page_of_another_template_fails_until_it_is_written_again(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = root / "reports" / "mini" / "table2.md"
    before = page.read_bytes()
    page.write_bytes(before.replace(b"0.5", b"0.6"))
    assert main(CheckOptions(), root) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reports/mini/table2.md: not what table2.json renders to;") and "--write" in line
    assert main(CheckOptions(write=True), root) == 0
    assert page.read_bytes() == before


def test_the_readme_quotes_every_measured_row(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    report = read_report(root / "reports" / "mini" / "table2.json")
    assert isinstance(report, Report)
    for row in report.measured_rows():
        assert f"{(row.measured or {})['RR@10'].mean:.3f} [" in text
    assert "1 reproduced; 1 contradicted" in text and "ANCE" not in text
    readme.write_text(text.replace("1 reproduced", "2 reproduced").replace("more", "else"), encoding="utf-8")
    assert main(CheckOptions(), root) == 1
    assert "README.md: does not quote" in capsys.readouterr().err
    assert main(CheckOptions(write=True), root) == 0
    assert readme.read_text(encoding="utf-8") == text.replace("more", "else")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table2-bars.svg", "table2-bars.svg: is missing"),
        ("table2.json", "table2.json: this is no report"),
        ("table2.md", "table2.md: not what"),
    ],
)
def test_a_file_that_was_removed_fails(root: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "README.md").unlink()
    (root / "reports" / "mini" / name).unlink()
    assert main(CheckOptions(), root) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("text", ["[]", "not JSON", "{}", '{"title": "no more"}'])
def test_what_is_no_report_fails_with_one_line(root: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "reports" / "mini" / "table7.json").write_text(text, encoding="utf-8")
    assert main(CheckOptions(), root) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "table7.json: this is no report" in line


def test_a_plot_that_the_report_does_not_have_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "reports" / "mini" / "table2-old.svg").write_text("of an earlier report", encoding="utf-8")
    assert main(CheckOptions(), root) == 1
    assert "table2-old.svg: is a plot that the report does not have" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("implementation", "source", "dirty"), True, "committed code alone"),
        (("implementation", "source", "dirty"), None, "committed code alone"),
        (("implementation", "source", "commit"), None, "the report was made from no commit"),
        (("method", "stages", "Retriever1", "commit"), "ab" * 20 + "+changes", "Retriever1 was made from no commit"),
    ],
)
def test_a_report_that_is_not_from_committed_code_fails(
    root: Path,
    report: Report,
    place: tuple[str, ...],
    value: object,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = report.provenance
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    write_report(report, root / "reports" / "mini", "table2")
    assert main(CheckOptions(), root) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_stages_of_another_commit_pass(root: Path, report: Report) -> None:
    """Each stage says which commit made it, and it need not be the report's."""
    commits = {stage["commit"] for stage in report.provenance["method"]["stages"].values()}
    assert len(commits) == 2 and main(CheckOptions(), root) == 0
