"""A stage in several processes: it starts them, and none is left when it has ended, however that was."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from simlm.commands.checks import check_processes
from simlm.errors import UserError
from simlm.workflow.resources import Choices
from simlm.workflow.workers import run_in_workers
from tests.workflow.driving import drive, end, manifest, stage_processes, start, until

TWO = {"SIMLM_TOY_PROCESSES": "2"}
LONG = {"SIMLM_TOY_SECONDS": "60"}
SLOW = pytest.mark.slow


def workers(results: Path) -> list[psutil.Process]:
    """The processes in which a shared stage is running, once both have begun."""
    files = until(lambda: len(found := list(results.glob("jobs/*/*/work/worker-*"))) == 2 and found, "two workers")
    return [psutil.Process(int(until(file.read_text, "its number"))) for file in files]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=30)[1]


def test_several_processes_are_one_stage(tmp_path: Path) -> None:
    one = drive(tmp_path / "one", "shared")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    two = drive(tmp_path / "two", "shared", TMPDIR=str(temporary), **TWO)
    assert (one.status, two.status) == (0, 0), two.errors
    sealed = [manifest(ran.jobs["shared"]) for ran in (one, two)]
    assert [each["numbers"] for each in sealed] == [{"processes": 1, "rank": 0}, {"processes": 2, "rank": 0}]
    assert sealed[0]["outputs"] == sealed[1]["outputs"]
    # How many did the work is no part of a stage's identity.
    assert one.jobs["shared"].name == two.jobs["shared"].name
    assert drive(tmp_path / "two", "shared").said("running") == []
    assert not any(temporary.iterdir())  # torch's agent leaves its notes there unless it is told another place


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        pytest.param("mistake", 2, "mistake numbers.txt, line 3: 'x' is no number; write digits", marks=SLOW),
        ("fault", 1, "WorkerFailed: process 1 of 2 failed: ValueError: the seventh wheel came off (see "),
        pytest.param("killed", 1, "WorkerFailed: process 1 of 2 was ended by SIGKILL; it had ", marks=SLOW),
    ],
)
def test_a_worker_that_fails_ends_the_stage(wrong: str, status: int, said: str, tmp_path: Path) -> None:
    failed = drive(tmp_path, "shared", **TWO, **LONG, SIMLM_TOY_WRONG=wrong)
    assert failed.status == status
    assert said in failed.lines[-1]
    assert stage_processes(tmp_path) == []


@pytest.mark.parametrize("killed", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=SLOW)])
def test_workers_end_with_their_stage(killed: signal.Signals, tmp_path: Path) -> None:
    driver = start(tmp_path, "shared", **TWO, **LONG)
    running = workers(tmp_path)
    (stage,) = {process.ppid() for process in running}
    os.kill(stage, killed)
    assert gone(running)
    assert end(driver).status == 1
    assert stage_processes(tmp_path) == []


def test_workers_end_with_a_driver_that_is_interrupted(tmp_path: Path) -> None:
    driver = start(tmp_path, "shared", **TWO, **LONG)
    running = workers(tmp_path)
    driver.send_signal(signal.SIGINT)
    assert end(driver).status == 130
    assert gone(running)
    assert stage_processes(tmp_path) == []


def test_a_worker_that_is_done_ends_without_what_python_does_at_its_end() -> None:
    """Where a library's threads may abort it: here what is registered to be done then does."""
    code = "import atexit, os; from simlm.workflow.worker import end_at_once; atexit.register(os.abort)"
    code += "; print('written', end=''); end_at_once(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "written"), done.stderr


def test_each_process_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    for device in ("auto", "cuda"):
        with pytest.raises(UserError, match="--processes 5: each needs a GPU and there are 4; choose fewer"):
            check_processes(5, device, tmp_path)
        check_processes(4, device, tmp_path)
    with pytest.raises(UserError, match="each needs a GPU"):
        run_in_workers(tmp_path, tmp_path / "workers", Choices(processes=8))
    check_processes(5, None, tmp_path)  # for another machine
    check_processes(5, "cpu", tmp_path)
    with pytest.raises(UserError, match="--processes 0: choose 1 or more"):
        check_processes(0, "cpu", tmp_path)
