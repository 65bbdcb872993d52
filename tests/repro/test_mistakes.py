"""Users' mistakes: one line that says what, where and how to mend it, exit status 2, nothing written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from repro.command import Options, check, main
from simlm.data.insuranceqa import package_folder
from simlm.errors import UserError
from simlm.stages.driver import StageFailed
from tests.repro.commands import ROOT, table2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rows", "bm25", "bm52"), "unknown row 'bm52': choose from bm25, bm25-tuned, random, "),
        (("--scale", "huge"), "unknown scale 'huge': choose one of smoke, mini"),
        (("--device", "tpu"), "unknown device 'tpu': choose one of auto, cpu, cuda"),
        (("--seed", "-1"), "--seed -1: choose 0 or a positive number"),
        (("--publish", "--seed", "3"), "--publish is for the whole table"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IR_DATASETS_HOME", raising=False)
    assert_refused(table2("--results", str(tmp_path / "results"), *arguments, HOME=str(tmp_path)), said)
    assert list(tmp_path.iterdir()) == []


def assert_refused(ran: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: {said}")
    assert ran.stdout == ""


def test_results_on_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for results in ("file", "file/below/it"):
        assert_refused(table2("--results", str(tmp_path / results)), f"--results {tmp_path / results}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write to")
def test_results_that_cannot_be_written() -> None:
    assert_refused(table2("--results", "/proc/results"), "--results /proc/results: cannot write to /proc (")


def test_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IR_DATASETS_HOME")
    home = tmp_path / "nobody"
    ran = table2("--results", str(tmp_path / "results"), HOME=str(home))
    assert_refused(ran, f"HOME ({home}) cannot be written: set HOME to a folder of yours")
    assert list(tmp_path.iterdir()) == []


def test_home_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="HOME .* cannot be written"):
        check(Options(scale="smoke", results=tmp_path))


def test_results_in_a_folder_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who is not root; the parent is taken, and cannot be written either."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write to .* \(Permission denied\); choose another"):
        check(Options(scale="smoke", results=tmp_path / "results"))


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9))
    with pytest.raises(UserError, match=r"1\.0 GB free, 2\.1 GB needed; free some space or choose another folder"):
        check(Options(scale="smoke", results=tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("two\nlines"), 2, "error: two lines"),
        (StageFailed("base failed: out of wheels (see base.err)"), 1, "failed: base failed: out of wheels"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on"),
    ],
)
def test_exit_statuses(
    error: BaseException,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(options: Options) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["table", "--scale", "smoke", "--results", str(tmp_path)])
    monkeypatch.setenv("SIMLM_DEVICE", "cpu")  # so that what the command sets is taken back
    with pytest.raises(SystemExit) as left:
        main(fail, "a table")
    assert left.value.code == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_help_shows_every_option_and_examples() -> None:
    ran = table2("--help")
    assert ran.returncode == 0
    for option in ("--scale", "--rows", "--seed", "--device", "--results", "--publish", "--dry-run"):
        assert option in ran.stdout
    assert "Examples" in ran.stdout and "python -m repro.table2 --rows bm25 simlm-1" in ran.stdout


def test_a_damaged_collection_is_the_users_mistake(tmp_path: Path) -> None:
    """The package as it lies on this machine, one of its files cut short."""
    package = tmp_path / "packages" / "insuranceqa_data"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for path in package_folder().glob("*.json.gz"):
        shutil.copy(path, package)
    answers = package / "answers.json.gz"
    answers.write_bytes(answers.read_bytes()[:100_000])
    ran = table2("--results", str(tmp_path / "results"), PYTHONPATH=f"{tmp_path / 'packages'}{os.pathsep}{ROOT}")
    assert ran.returncode == 2 and ran.stdout == ""
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"error: {answers} is truncated or no gzip file; reinstall it: pip install ")
    assert sum(line.startswith("error: ") for line in ran.stderr.splitlines()) == 1
    assert not (tmp_path / "results" / "smoke").exists()
    assert not list(tmp_path.glob("results/jobs/*/*/manifest.json"))
