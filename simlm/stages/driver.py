"""Runs what a plan lacks: one process that starts the stages' processes, shows them, and waits."""

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
from simlm.stages.plan import EXPERIMENT, Build, Planned, plan
from simlm.stages.slots import threads_per_stage
from simlm.stages.stage import MISTAKE, PROGRESS, Stage

ROUNDS = 5
POLL_SECONDS = 0.25
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
        for _ in range(ROUNDS):
            stages, result = plan(build, results)
            if all(stage.valid for stage in stages):
                return stages, result
            _clear(stages, display)
            _run_once(build, results, stages, display)
    lacking = next(stage for stage in stages if not stage.valid)
    raise StageFailed(f"{lacking.name} ({lacking.job}) does not verify after it ran: {lacking.reason}")


def _clear(stages: list[Planned], display: Display) -> None:
    """Remove finished stages that do not verify, so that they are made again; say why."""
    for stage in stages:
        if not stage.valid and stage.was_finished:
            display.say(f"{stage.name} {stage.job.name[:8]} is made again: {stage.reason}")
            shutil.rmtree(stage.job)


def _run_once(build: Build, results: Path, stages: list[Planned], display: Display) -> None:
    logging.getLogger("xpm").setLevel(logging.CRITICAL)
    submitted: dict[Path, Any] = {}
    todo = {stage.job for stage in stages if not stage.valid}

    def submit(stage: Stage, name: str) -> None:
        stage.submit()
        submitted[Path(stage.__xpm__.job.path)] = stage.__xpm__.job

    with experiment(results, "run", **EXPERIMENT) as current:
        for name, value in _environment().items():
            current.setenv(name, value)
        try:
            build(submit)
            while True:
                moments = [_moment(stage, submitted[stage.job]) for stage in stages if stage.job in todo]
                display.show(moments)
                for moment in moments:
                    if moment.state == "failed":
                        raise _failure(moment.planned)
                if all(moment.state == "done" for moment in moments):
                    return
                time.sleep(POLL_SECONDS)
        except BaseException:
            _stop_children()
            raise


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
    log = next(iter(planned.job.glob("*.err")), planned.job)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    said = [line for line in lines if not line.startswith(("INFO:", "WARNING:", "ERROR:"))]
    return StageFailed(f"{planned.name} failed: {said[-1] if said else 'its process was killed'} (see {log})")


def _stop_children() -> None:
    """End the stages' processes; whatever they had checkpointed stays."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with _gone():
            child.terminate()
    for child in psutil.wait_procs(children, timeout=5)[1]:
        with _gone():
            child.kill()


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


def _environment() -> dict[str, str]:
    """What the stages' processes get beyond the driver's environment."""
    threads = str(threads_per_stage())
    passed = {name: value for name, value in os.environ.items() if name.startswith(("SIMLM_", "HF_", "IR_DATASETS"))}
    return passed | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
