"""Users' mistakes: one line that says what, where and how to mend it, exit status 2, nothing written."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from repro.command import Options, check, main
from repro.run import table_command
from repro.table2 import table2 as table2_spec
from simlm.data.insuranceqa import package_folder
from simlm.errors import UserError
from simlm.stopping import Stopped
from simlm.workflow.manifest import read_manifest
from simlm.workflow.scheduler import StageFailed, StageStatus, only_run
from tests.repro.commands import ROOT, Results, listing, table2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rows", "bm25", "bm52"), "unknown row 'bm52': choose from bm25, bm25-tuned, random, "),
        (("--scale", "huge"), "unknown scale 'huge': choose one of smoke, mini"),
        (("--device", "tpu"), "unknown device 'tpu': choose one of auto, cpu, cuda"),
        (("--processes", "0"), "--processes 0: choose 1 or more"),
        (("--search", "lucene"), "unknown search 'lucene': choose one of torch, faiss"),
        (("--seed", "-1"), "--seed -1: choose 0 or more, 2147483647 at most"),
        (("--seed", "4294967295"), "--seed 4294967295: choose 0 or more, 2147483647 at most"),
        (("--seed", "x"), "Error parsing --seed: invalid literal for int() with base 10: 'x'; --help lists"),
        (("--seed",), "Missing value for argument '--seed'. Expected 1 values; --help lists every option"),
        (("--sed", "3"), "Unrecognized options: --sed, 3; --help lists every option"),
        (("--rows",), "Error parsing --rows: name at least one row, or leave the option out for all; --help lists"),
        (("--publish", "--seed", "3"), "--publish is for the whole table"),
        (("--publish", "--precision", "float32", "--seed", "3"), "--publish is for the whole table"),
        (("--precision", "float16"), "unknown precision 'float16': choose one of auto, float32, bfloat16"),
    ],
)
def test_bad_options(
    arguments: tuple[str, ...], said: str, leaves: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    command = partial(table_command, table2_spec(), "A table.")
    status, line = leaves(command, "--scale", "smoke", "--results", str(tmp_path / "results"), *arguments)
    assert status == 2 and line.startswith(f"error: {said}")
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_leaves_nothing_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command has not imported ir_datasets, which makes folders there."""
    monkeypatch.delenv("IR_DATASETS_HOME", raising=False)
    ran = table2("--results", str(tmp_path / "results"), "--rows", "bm52", HOME=str(tmp_path))
    assert_refused(ran, "unknown row 'bm52': choose from bm25, bm25-tuned, random, ")
    assert list(tmp_path.iterdir()) == []


def assert_refused(ran: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: {said}")
    assert ran.stdout == ""


def test_a_search_by_what_is_not_installed(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "faiss.py").write_text("raise ModuleNotFoundError('there is none')")
    paths = os.pathsep.join(filter(None, (str(absent), os.environ.get("PYTHONPATH"))))
    ran = table2("--results", str(tmp_path / "results"), "--search", "faiss", "--device", "cpu", PYTHONPATH=paths)
    assert_refused(ran, "--search faiss: faiss cannot be imported (there is none): pip install -c constraints.txt -e ")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("home", ["/proc", "/sys", "file"])
def test_home_that_nobody_can_write_to(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as root, who is told by os.access that everything can be written."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / home))
    with pytest.raises(UserError, match=r"^HOME \(.*\) cannot be written \(.*\): set HOME to a folder of yours"):
        check(Options(scale="smoke", results=tmp_path))


def test_home_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own home folder counts, and not the root folder."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    with pytest.raises(UserError, match=r"^HOME \(.*nobody\) cannot be written \(it is no folder\)"):
        check(Options(scale="smoke", results=tmp_path))


@pytest.mark.parametrize("name", ["jobs", "slots", "smoke", "smoke/seed-3"])
def test_a_file_where_a_folder_has_to_be(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    refused(rf"cannot write to .*/{name} \(it is no folder", results=tmp_path)


@pytest.mark.parametrize("name", ["run.lock", "report.lock"])
def test_a_folder_where_a_lock_has_to_be(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    refused(f".*/{name} is no file; remove it or choose another folder", results=tmp_path)


def test_results_that_can_be_no_folder(tmp_path: Path) -> None:
    refused("File name too long; choose another folder", results=tmp_path / "new" / ("x" * 300) / "below")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(".*/link is a link to nothing; choose a folder", results=tmp_path / "link" / "below")
    (tmp_path / "file").touch()
    for below in ("file", "file/below/it"):
        refused("", results=tmp_path / below)
    assert {path.name for path in tmp_path.iterdir()} == {"link", "file"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write to")
def test_results_that_cannot_be_written() -> None:
    refused(r"cannot write to /proc \(", results=Path("/proc/results"))


def refused(said: str, results: Path) -> None:
    with pytest.raises(UserError, match=f"^--results .*: {said}"):
        check(Options(scale="smoke", seed=3, results=results))


def test_the_same_rows_are_the_same_report() -> None:
    for rows in (("bm25", "simlm"), ("simlm", "bm25", "bm25")):
        assert Options(rows=rows).variant == "rows-bm25-simlm"


def test_a_lock_that_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / "run.lock").mkdir()
    with pytest.raises(UserError, match=r"run\.lock cannot be locked \(.*\); remove it"), only_run(tmp_path, Silent()):
        pass


class Silent:
    """A display that shows nothing."""

    def say(self, line: str) -> None: ...
    def show(self, moments: list[StageStatus]) -> None: ...


def test_results_in_a_folder_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who is not root; the parent is taken, and cannot be written either."""

    def refuse(dir: Path) -> TextIO:
        if dir == tmp_path:
            raise PermissionError(13, "Permission denied")
        return (home / "probe").open("w")

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
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
        (Stopped(signal.SIGTERM), 143, "stopped; the same command goes on"),
    ],
)
def test_exit_statuses(
    error: BaseException, status: int, said: str, leaves: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    def fail(options: Options) -> None:
        raise error

    ended, line = leaves(lambda: main(fail, "a table"), "--scale", "smoke", "--results", str(tmp_path))
    assert ended == status and line.startswith(said)


def test_help_shows_every_option_and_examples() -> None:
    ran = table2("--help")
    assert ran.returncode == 0
    for option in ("--scale", "--rows", "--seed", "--device", "--search", "--results", "--publish", "--dry-run"):
        assert option in ran.stdout
    assert "Examples" in ran.stdout and "python -m repro.table2 --rows bm25 bm25-tuned" in ran.stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the installed package, which a command finds by way of PYTHONPATH."""
    package = tmp_path / "packages" / "insuranceqa_data"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for path in package_folder().glob("*.json.gz"):
        shutil.copy(path, package)
    return package


def test_a_prepared_collection_that_changed(smoke: Results, package: Path, tmp_path: Path) -> None:
    """It is said and made again, and a broken one is refused before anything is lost."""
    copy = smoke.copy(tmp_path / "results")
    job = copy.folder / smoke.job("collection").relative_to(smoke.folder)

    def prepare(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "repro.data", "prepare", "insuranceqa-smoke", "--scale", "smoke", *arguments]
        paths = os.environ | {"COLUMNS": "200", "PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}"}
        command += ["--results", str(copy.folder)]
        return subprocess.run(command, cwd=ROOT, env=paths, capture_output=True, text=True)

    passages = package / "answers.json.gz"
    content = gzip.decompress(passages.read_bytes()).decode().replace('"en":"', '"en":"Quite another text. ', 1)
    passages.write_bytes(gzip.compress(content.encode(), 1))
    before, whole = listing(copy.folder), passages.read_bytes()
    dry = prepare("--dry-run")
    assert dry.returncode == 0 and "collection insuranceqa-smoke is another one than was tokenised" in dry.stdout
    passages.write_bytes(whole[:100_000])
    assert_refused(prepare(), f"{passages} is truncated or no gzip file; reinstall it: pip install ")
    assert listing(copy.folder) == before
    passages.write_bytes(whole)
    ran = prepare()
    assert ran.returncode == 0, ran.stderr
    assert "collection insuranceqa-smoke is another one than was tokenised" in ran.stderr
    assert read_manifest(job) != read_manifest(smoke.job("collection"))
