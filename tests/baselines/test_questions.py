"""The command that writes Natural Questions' test questions: its mistakes, and what it makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import questions
from simlm.errors import UserError


def refuse() -> None:
    raise AssertionError("nothing is fetched before the file's name is known to do")


def test_the_folder_of_the_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "topics", lambda: [("who?", "['a']")])
    questions.main([str(tmp_path / "a" / "b" / "nq.csv")])
    assert (tmp_path / "a" / "b" / "nq.csv").read_text(encoding="utf-8") == "who?\t['a']\n"


def test_a_name_that_will_not_do_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "topics", refuse)
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"")
    link.symlink_to(tmp_path / "nothing")
    for name, said in (
        (str(file), "exists; move it away"),
        (str(link), "exists; move it away"),
        (str(file / "nq.csv"), "is a file; choose a folder"),
        ("--all", "python -m baselines.questions FILE"),
        ("", "python -m baselines.questions FILE"),
    ):
        with pytest.raises(UserError, match=said):
            questions.main([name])
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "topics", refuse)
    questions.main(["--help"])
    assert capsys.readouterr().out == f"{questions.USAGE}\n"


def test_offline_it_ends_with_one_line(tmp_path: Path) -> None:
    """Java's own proxy settings lead to a port where nothing listens, and its home to an empty cache."""
    options = f"-Duser.home={tmp_path} -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9"
    ran = subprocess.run(
        [sys.executable, "-m", "baselines.questions", str(tmp_path / "nq.csv")],
        capture_output=True,
        text=True,
        env={**os.environ, "JAVA_TOOL_OPTIONS": options},
    )
    (line,) = (line for line in ran.stderr.splitlines() if not line.startswith("Picked up JAVA_TOOL_OPTIONS"))
    assert (ran.returncode, ran.stdout) == (2, "") and line.startswith("error: Pyserini's topics"), ran
    assert not (tmp_path / "nq.csv").exists()
