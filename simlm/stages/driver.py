"""Runs what a plan lacks: one process that starts the stages' processes, shows them, and waits."""

import asyncio
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
from experimaestro import experiment
from filelock import FileLock, Timeout

from simlm.errors import UserError
from simlm.stages.plan import Build, Planned, plan
from simlm.stages.slots import cores
from simlm.stages.stage import MISTAKE, PROGRESS, Stage

POLL_SECONDS = 0.25
LET_GO_SECONDS = 5.0
ROOT = Path(__file__).resolve().parents[2]


class StageFailed(Exception):
    """A stage's process ended with an error that is no user's mistake; says where its log lies."""


@dataclass(frozen=True)
class Moment:
    """A stage as a run's display sees it: "waiting", "running", "done" or "failed", and its bar."""

    planned: Planned
    state: str
    description: str = ""
    done: int = 0
    total: int | None = None


class Display(Protocol):
    """Shows a run; ``say`` is for single lines, ``show`` for all stages at once, several times a second."""

    def say(self, line: str) -> None: ...
    def show(self, moments: list[Moment]) -> None: ...


def run(build: Build, results: Path, display: Display) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` whose manifest does not verify; the verified plan and what ``build`` returned.

    A second run on the same folder waits for the first. UserError for a stage's user mistake, StageFailed for any
    other failure; stages already running are then stopped, and go on from their last checkpoint in the next run.
    """
    with _only_run(results, display):
        ran: Planned | None = None
        found: set[Path] | None = None
        while True:
            stages, result = plan(build, results)
            valid = {stage.job for stage in stages if stage.valid}
            found = valid if found is None else found & valid
            for stage in stages:
                _prepare(stage, display)
            lacking = next((stage for stage in stages if not stage.valid), None)
            if lacking is None:
                for stage in stages:
                    stage.reused = stage.job in found
                return stages, result
            # What it stands on is valid, so a round makes it valid too. What stands on it is judged by the next one.
            if ran is not None and ran.job == lacking.job:
                raise StageFailed(f"{lacking.name} ({lacking.job}) does not verify after it ran: {lacking.reason}")
            ran = lacking
            _run_once(build, results, stages, display)


def _prepare(stage: Planned, display: Display) -> None:
    """Make experimaestro, which knows no manifests, see a stage as the plan does."""
    if stage.valid:
        if not stage.was_finished:  # its process was killed right after it had written the manifest
            stage.marker(".done").touch()
            shutil.rmtree(stage.job / "work", ignore_errors=True)
    elif stage.was_finished and not stage.waits:
        display.say(f"{stage.name} {stage.job.name[:8]} is made again: {stage.reason}")
        shutil.rmtree(stage.job)
    elif not stage.was_finished and process_of(stage) is None:
        # Experimaestro would give up a stage that failed a few times, and wait for a stranger with its process number.
        stale = (stage.marker(".failed"), stage.marker(".pid"), stage.job / ".experimaestro" / "status.json")
        for path in (*stale, stage.job / MISTAKE):
            path.unlink(missing_ok=True)


def process_of(stage: Planned) -> psutil.Process | None:
    """The process that works on a stage, also one that an earlier driver started and left behind; None without one."""
    try:
        process = psutil.Process(json.loads(stage.marker(".pid").read_text())["pid"])
        return process if str(stage.marker(".py")) in process.cmdline() else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def _run_once(build: Build, results: Path, stages: list[Planned], display: Display) -> None:
    logging.getLogger("xpm").setLevel(logging.CRITICAL)
    submitted: dict[Path, Any] = {}
    todo = [stage for stage in stages if not stage.valid]

    def submit(stage: Stage, name: str) -> None:
        stage.submit()
        submitted[Path(stage.__xpm__.job.path)] = stage.__xpm__.job

    def moments() -> list[Moment]:
        return [_moment(stage, submitted[stage.job]) for stage in todo]

    with (
        _environment(),
        experiment(results, "run", no_environmental_impact=True, register_signals=False) as current,
    ):
        scheduler = current.scheduler
        scheduler.jobs.clear()  # those of an earlier round, which it would not run again
        try:
            build(submit)
            while True:
                now = moments()
                display.show(now)
                if any(moment.state == "failed" for moment in now):
                    # What stands on a failed stage fails too, maybe while the moments were taken: look for the first.
                    raise _failure(next(moment.planned for moment in moments() if moment.state == "failed"))
                if all(moment.state == "done" for moment in now):
                    break
                time.sleep(POLL_SECONDS)
        except BaseException:
            asyncio.run_coroutine_threadsafe(_let_go(cancel=True), scheduler.loop).result()
            _stop(todo)
            raise
    asyncio.run_coroutine_threadsafe(_let_go(cancel=False), scheduler.loop).result()


async def _let_go(cancel: bool) -> None:
    """Wait until experimaestro does nothing any more; with ``cancel`` it starts no more stages and watches none."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks if cancel else ():
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LET_GO_SECONDS)


def _moment(planned: Planned, job: Any) -> Moment:
    state = job.state
    if state.finished():
        return Moment(planned, "failed" if state.is_error() else "done")
    if not state.running():
        return Moment(planned, "waiting")
    try:
        bar = json.loads((planned.job / PROGRESS).read_text())
        return Moment(planned, "running", bar["description"], bar["done"], bar["total"])
    except (OSError, ValueError, KeyError):
        return Moment(planned, "running")


def _failure(planned: Planned) -> Exception:
    mistake = planned.job / MISTAKE
    if mistake.is_file():
        return UserError(mistake.read_text(encoding="utf-8"))
    log = planned.marker(".err")
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    said = [line for line in lines if not line.startswith(("INFO:", "WARNING:", "ERROR:"))]
    return StageFailed(f"{planned.name} failed: {said[-1] if said else 'its process was killed'} (see {log})")


def _stop(stages: list[Planned]) -> None:
    """End the stages' processes, those of an earlier driver included; whatever they had checkpointed stays."""
    processes = set(psutil.Process().children(recursive=True))
    processes |= {process for stage in stages if (process := process_of(stage)) is not None}
    for process in processes:
        with _gone():
            process.terminate()
    for process in psutil.wait_procs(list(processes), timeout=5)[1]:
        with _gone():
            process.kill()


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


@contextmanager
def _only_run(results: Path, display: Display) -> Iterator[None]:
    lock = FileLock(results / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        display.say(f"another run is using {results}; waiting for it, its stages will be shared")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _environment() -> Iterator[None]:
    """What the stages' processes inherit beyond the driver's environment.

    Experimaestro's ``setenv`` would replace that environment, HOME and PATH included, and write each value, tokens
    included, into the stage's script.
    """
    threads = str(cores())
    added = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
