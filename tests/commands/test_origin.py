"""The state of the source tree that manifests and reports name."""

import subprocess
from pathlib import Path

import pytest

from simlm.commands.origin import source_state


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def test_source_state_knows_commit_and_changes(tmp_path: Path) -> None:
    assert source_state(tmp_path) == {"commit": None, "dirty": None}
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "remote", "add", "origin", "https://name:secret@example.org/house.git")
    state = source_state(tmp_path)
    assert len(state["commit"]) == 40 and state["dirty"] is False
    assert state["repository"] == "https://example.org/house"

    published = tmp_path / "reports" / "mini" / "table2.md"
    published.parent.mkdir(parents=True)
    published.write_text("a report", encoding="utf-8")
    assert source_state(tmp_path)["dirty"] is False  # a published report is no change of the code
    (tmp_path / "reports" / "render.py").write_text("x = 1\n", encoding="utf-8")
    assert source_state(tmp_path)["dirty"] is True
    assert source_state(tmp_path / "reports") == {"commit": None, "dirty": None}


def test_source_state_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(tmp_path) == {"commit": None, "dirty": None}
