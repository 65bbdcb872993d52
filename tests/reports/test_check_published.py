"""Published pages are what their JSON renders to."""

import json
from pathlib import Path

import pytest

from reports.check_published import CheckOptions, main
from reports.model import Report

README = "# Title\n<!-- report: begin -->\n{}<!-- report: end -->\nmore\n"


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A repository that has published one report and quotes it."""
    (tmp_path / "reports").mkdir()
    written.rename(tmp_path / "reports" / "mini")
    (tmp_path / "README.md").write_text(README.format(""), encoding="utf-8")
    assert main(CheckOptions(write=True), tmp_path) == 0
    return tmp_path


def fault(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the check prints."""
    capsys.readouterr()
    assert main(CheckOptions(), root) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_nothing_published_yet_and_pages_as_they_were_written_pass(root: Path, tmp_path: Path) -> None:
    assert main(CheckOptions(), tmp_path / "empty") == 0
    assert main(CheckOptions(), root) == 0


def test_a_page_of_another_template_fails_until_it_is_written_again(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = root / "reports" / "mini" / "table2.md"
    before = page.read_bytes()
    page.write_bytes(before.replace(b"0.5", b"0.6"))
    line = fault(root, capsys)
    assert line.startswith("reports/mini/table2.md: not what table2.json renders to;") and "--write" in line
    assert main(CheckOptions(write=True), root) == 0
    assert page.read_bytes() == before


def test_the_readme_quotes_every_measured_row(root: Path, capsys: pytest.CaptureFixture[str], report: Report) -> None:
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    for row in report.measured_rows():
        assert f"{(row.measured or {})['RR@10'].mean:.3f} [" in text
    assert "1 reproduced; 1 contradicted" in text and "ANCE" not in text
    readme.write_text(text.replace("1 reproduced", "2 reproduced").replace("more", "else"), encoding="utf-8")
    assert "README.md: does not quote" in fault(root, capsys)
    assert main(CheckOptions(write=True), root) == 0
    assert readme.read_text(encoding="utf-8") == text.replace("more", "else")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("table2-bars.svg", None, "table2-bars.svg: is missing"),
        ("table2.json", None, "table2.json: this is no report"),
        ("table2.md", None, "table2.md: not what"),
        ("table2-old.svg", "a plot", "table2-old.svg: is a plot that the report does not have"),
        *(
            ("table7.json", text, "table7.json: this is no report")
            for text in ("[]", "not JSON", "{}", '{"title": "x"}')
        ),
    ],
)
def test_a_file_too_few_or_too_many_fails_with_one_line(
    root: Path, name: str, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "README.md").unlink()
    file = root / "reports" / "mini" / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text, encoding="utf-8")
    assert message in fault(root, capsys)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dirty": false', '"dirty": true', "committed code alone"),
        ('"dirty": false', '"dirty": null', "committed code alone"),
        (f'"commit": "{"ab" * 20}",', '"commit": null,', "the report was made from no commit"),
        (f'"commit": "{"ab" * 20}"\n', f'"commit": "{"ab" * 20}+changes"\n', "Retriever1 was made from no commit"),
    ],
)
def test_a_report_that_is_not_from_committed_code_fails(
    root: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "reports" / "mini" / "table2.json"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    main(CheckOptions(write=True), root)
    assert message in fault(root, capsys)


def test_a_seed_that_is_not_from_committed_code_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "reports" / "mini" / "seeds"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({"stages": {"BM25": {"commit": "unknown"}}}), encoding="utf-8")
    assert "seeds/1.json: BM25 was made from no commit" in fault(root, capsys)


def test_a_readme_that_quotes_a_report_that_is_gone_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (root / "reports" / "mini").iterdir():
        file.unlink()
    assert "table2.json: this is no report" in fault(root, capsys)
