"""Running the toy pipeline: in this process, or by a driver of its own that can be watched and killed."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from tests.workflow.drive import main

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """How a driver ended: its exit status and what it printed."""

    status: int
    lines: list[str]
    errors: str
    began: float = 0.0

    def said(self, start: str) -> list[str]:
        """What follows ``start`` in the lines that begin with it."""
        return [line.removeprefix(f"{start} ") for line in self.lines if line.startswith(f"{start} ")]

    @property
    def jobs(self) -> dict[str, Path]:
        """The folders of the stages, by name, when all are finished."""
        return {name: Path(job) for name, job in (line.rsplit(" ", 1) for line in self.said("finished"))}

    @property
    def made(self) -> list[str]:
        """The finished stages that this driver ran, in the order in which they began."""
        last = {name: manifest(job)["attempts"][-1]["started"] for name, job in self.jobs.items()}
        return sorted((name for name in last if last[name] >= self.began), key=lambda name: last[name])


def start(results: Path, shape: str, *options: str, **environment: str) -> subprocess.Popen[str]:
    """A driver that runs."""
    results.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.workflow.drive", str(results), shape, *options],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )


def hear_signals() -> None:
    """Stop ignoring signals: a process started under nohup would pass that on."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def end(driver: subprocess.Popen[str], began: float = 0.0) -> Ran:
    """Wait until a driver ends that ``began`` then. Whatever it does, it shows no traceback."""
    output, errors = driver.communicate(timeout=PATIENCE)
    assert "Traceback" not in errors, errors
    return Ran(driver.returncode, output.splitlines(), errors, began)


def drive(results: Path, shape: str = "tree", *options: str, **environment: str) -> Ran:
    """Run the pipeline to its end in this process, which saves the imports of another one."""
    results.mkdir(exist_ok=True)
    began = time.time()
    output, errors = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environment), redirect_stdout(output), redirect_stderr(errors):
        status = main(results, shape, *options)
    return Ran(status, output.getvalue().splitlines(), errors.getvalue(), began)


def drive_alone(results: Path, shape: str = "tree", *options: str, **environment: str) -> Ran:
    """Run a driver of its own to its end, for what must be there before it imports anything."""
    began = time.time()
    return end(start(results, shape, *options, **environment), began)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something; what it is, once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(0.02)
    return found


def steps(results: Path, kind: str = "number") -> list[Path]:
    """The steps that unfinished stages of a kind have made and sealed."""
    seals = results.glob(f"jobs/*.{kind}/*/work/steps.seals/step-*")
    return [seal.parent.with_name("steps") / seal.name for seal in seals]


def stage_processes(results: Path) -> list[psutil.Process]:
    """The processes of stages, whoever started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(results / "jobs")):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_all(driver: subprocess.Popen[str], results: Path) -> None:
    """SIGKILL for a driver and for its stages, as a machine does that loses its power."""
    driver.kill()
    driver.communicate()
    # A stage that was just being started is not seen at once.
    for _ in range(2):
        for process in stage_processes(results):
            process.kill()
        psutil.wait_procs(stage_processes(results), timeout=10)
        time.sleep(0.05)


def manifest(job: Path) -> dict[str, Any]:
    """A finished stage's manifest."""
    content: dict[str, Any] = json.loads((job / "manifest.json").read_text())
    return content


def made(ran: Ran) -> dict[str, Any]:
    """What the stages of a finished run have made, by name: files and digests."""
    return {name: manifest(job)["outputs"] for name, job in ran.jobs.items()}


def attempts(ran: Ran) -> dict[str, int]:
    """How often each stage of a finished run was started."""
    return {name: len(manifest(job)["attempts"]) for name, job in ran.jobs.items()}


def damage(job: Path, name: str = "number.txt") -> None:
    """Change a byte of a stage's output."""
    path = job / "output" / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(bytes(content))
