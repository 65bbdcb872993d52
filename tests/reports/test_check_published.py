"""reports.check_published against small git repositories."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.check_published import main

DEFAULT_REPORT = Path("reports/mini/table2.json")
README = "# Title\n<!-- report: begin -->\n{}\n<!-- report: end -->\nmore\n"


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, files: dict[str, str]) -> str:
    """Write and commit files; return the commit."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A step")
    return git(root, "rev-parse", "HEAD")


def report_of(source: dict[str, Any]) -> str:
    return json.dumps({"provenance": {"implementation": {"source": source}}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    return tmp_path


@pytest.fixture
def published(root: Path) -> Path:
    """A repository whose second commit publishes a report made from the first."""
    made_from = commit(root, {"code.py": "1\n", "README.md": README.format("nothing yet")})
    commit(root, {str(DEFAULT_REPORT): report_of({"commit": made_from, "dirty": False})})
    return root


def test_nothing_published_yet(root: Path) -> None:
    assert main([], root) == 0


def test_a_report_named_but_absent_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DEFAULT_REPORT)], root) == 2
    assert "publish it again" in capsys.readouterr().err


def test_unchanged_code_passes(published: Path) -> None:
    assert main([], published) == 0


def test_other_files_of_the_report_may_change(published: Path) -> None:
    commit(published, {"reports/mini/table2.md": "a table\n"})
    assert main([], published) == 0


@pytest.mark.parametrize("name", ["reports/small/table2.md", "reports/performance.json", "reports/performance-cpu.md"])
def test_other_reports_may_change(published: Path, name: str) -> None:
    commit(published, {name: "2\n"})
    assert main([], published) == 0


@pytest.mark.parametrize("name", ["code.py", "reports/render.py", "reports/templates/table.md.j2", "new/a file.py"])
def test_changed_code_fails(published: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    commit(published, {name: "2\n"})
    assert main([], published) == 2
    assert name in capsys.readouterr().err


def test_removed_and_renamed_code_fails(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(published, "mv", "code.py", "reports/mini/code.py")
    commit(published, {})
    assert main([], published) == 2
    assert "code.py" in capsys.readouterr().err


def test_readme_may_change_between_the_markers_only(published: Path) -> None:
    commit(published, {"README.md": README.format("| the table |")})
    assert main([], published) == 0
    commit(published, {"README.md": README.format("| the table |") + "else\n"})
    assert main([], published) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (report_of({"commit": "0" * 40, "dirty": False}), "unknown here"),
        (report_of({"commit": "--output=x"}), "is no commit"),
        (report_of({"commit": "0" * 40, "dirty": True}), "committed code alone"),
        (report_of({"commit": "0" * 40}), "committed code alone"),
        (report_of({"commit": None, "dirty": None}), "is no commit"),
        (report_of({}), "no commit at"),
        ("[]", "no commit at"),
        ("not JSON", "no commit at"),
    ],
)
def test_a_report_without_a_usable_commit_fails(
    root: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(root, {str(DEFAULT_REPORT): text})
    assert main([], root) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_every_published_report_is_checked(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = commit(published, {"code.py": "2\n"})
    commit(published, {"reports/mini/table7.json": report_of({"commit": older, "dirty": False})})
    assert main([], published) == 2
    shown = capsys.readouterr()
    assert "table7.json: made from" in shown.out and "table2.json: made from" in shown.err
