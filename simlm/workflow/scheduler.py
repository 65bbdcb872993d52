"""Runs what a plan lacks: one process that starts the stages' processes, shows them, and waits."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from experimaestro import experiment
from experimaestro.scheduler.interfaces import JobFailureStatus
from filelock import FileLock, Timeout

from simlm.errors import UserError
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Build, Planned, ancestors, job_of, mark_failures, naming, plan, quiet
from simlm.workflow.processes import environment, prepare, stop
from simlm.workflow.stage import MISTAKE, PROGRESS, Stage

POLL_SECONDS = 0.25
LET_GO_SECONDS = 5.0
ENDED = ("done", "failed", "left out")


class StageFailed(Exception):
    """A stage's process ended with an error that is no user's mistake; says where its log lies."""


@dataclass(frozen=True)
class StageStatus:
    """A stage as a run's display sees it: its state and, while it runs, its bar.

    States are "waiting", "running", "done", "failed", and "left out" for what stands on a failed stage.
    """

    planned: Planned
    state: str
    description: str = ""
    done: int = 0
    total: int | None = None


class Display(Protocol):
    """Shows a run; ``say`` is for single lines, ``show`` for all stages at once, several times a second."""

    def say(self, line: str) -> None: ...
    def show(self, moments: list[StageStatus]) -> None: ...


def run(
    build: Build, results: Path, display: Display, launcher: Launcher, keep_going: bool = False
) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` whose manifest does not verify; the verified plan and what ``build`` returned.

    A second run on the same folder waits for the first. UserError for a stage's user mistake, StageFailed for any
    other failure; stages already running are then stopped, and go on from their last checkpoint in the next run.
    With ``keep_going`` a failure raises nothing and leaves out only what stands on the failed stage: all of these have
    their ``failure`` in the plan that comes back.
    Stages run where ``launcher`` starts them.
    """
    with only_run(results, display):
        ran: Planned | None = None
        found: set[Path] | None = None
        failures: dict[Path, Exception] = {}
        while True:
            stages, result = plan(build, results)
            mark_failures(stages, failures)
            valid = {stage.job for stage in stages if stage.valid}
            found = valid if found is None else found & valid
            for stage in (one for one in stages if one.failure is None):
                prepare(stage, display.say)
            lacking = next((stage for stage in stages if not stage.valid and stage.failure is None), None)
            if lacking is None:
                for stage in stages:
                    stage.reused = stage.job in found
                return stages, result
            # What it stands on is valid, so a round makes it valid too. What stands on it is judged by the next one.
            if ran is not None and ran.job == lacking.job:
                failures[lacking.job] = StageFailed(
                    f"{lacking.name} ({lacking.job}) does not verify after it ran: {lacking.reason}"
                )
                if not keep_going:
                    raise failures[lacking.job]
                continue
            ran = lacking
            failures |= _run_once(build, results, stages, display, launcher, keep_going)


def _run_once(
    build: Build,
    results: Path,
    stages: list[Planned],
    display: Display,
    launcher: Launcher,
    keep_going: bool,
) -> dict[Path, Exception]:
    """Run what is not valid, and not left out already; the failures, the first of which is raised or all returned."""
    logging.getLogger("xpm").setLevel(logging.CRITICAL)
    submitted: dict[Path, Any] = {}
    left_out = {stage.job.name for stage in stages if stage.failure is not None or unsettled(stage)}
    todo = [stage for stage in stages if not stage.valid and stage.job.name not in left_out]
    name_only = naming(results)

    def submit(stage: Stage, name: str) -> None:
        if stage.__xpm__.identifier.all.hex() in left_out:
            with quiet():
                name_only(stage)  # what else is left out is built on it
            return
        stage.submit(launcher=launcher.for_stage(stage))
        submitted[job_of(stage)] = stage.__xpm__.job

    with (
        environment(launcher),
        experiment(results, "run", no_environmental_impact=True, register_signals=False, launcher=launcher) as current,
    ):
        scheduler = current.scheduler
        scheduler.jobs.clear()  # those of an earlier round, which it would not run again
        try:
            build(submit)
            while True:
                now = _moments(todo, submitted)
                display.show(now)
                failed = [moment.planned for moment in now if moment.state == "failed"]
                if failed and not keep_going:
                    raise _failure(failed[0])
                if all(moment.state in ENDED for moment in now):
                    break
                time.sleep(POLL_SECONDS)
        except BaseException:
            asyncio.run_coroutine_threadsafe(_let_go(cancel=True), scheduler.loop).result()
            stop([stage for stage in stages if not stage.valid])
            raise
    asyncio.run_coroutine_threadsafe(_let_go(cancel=False), scheduler.loop).result()
    return {stage.job: _failure(stage) for stage in failed}


def unsettled(stage: Planned) -> bool:
    """Whether a stage to run stands on a finished one that is judged in the next round, and may then be made again."""
    below = ancestors(stage)[1:]
    return not stage.was_finished and any(one.waits and one.was_finished for one in below)


async def _let_go(cancel: bool) -> None:
    """Wait until experimaestro does nothing any more; with ``cancel`` it starts no more stages and watches none."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks if cancel else ():
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LET_GO_SECONDS)


def _moments(stages: Sequence[Planned], jobs: Mapping[Path, Any]) -> list[StageStatus]:
    """The stages as they are now; each follows what it stands on, and is left out when that failed."""
    found: dict[Path, StageStatus] = {}
    for stage in stages:
        moment = _moment(stage, jobs[stage.job])
        below = {found[one.job].state for one in stage.inputs.values() if one.job in found}
        if moment.state in ("waiting", "failed") and below & {"failed", "left out"}:
            moment = StageStatus(stage, "left out")
        found[stage.job] = moment
    return list(found.values())


def _moment(planned: Planned, job: Any) -> StageStatus:
    # A process that was killed has not noted how it ended: then the scheduler knows it.
    state = job.state if job.state.finished() or not job.scheduler_state.finished() else job.scheduler_state
    if state.finished():
        if not state.is_error():
            return StageStatus(planned, "done")
        return StageStatus(planned, "left out" if state.failure_reason is JobFailureStatus.DEPENDENCY else "failed")
    if not state.running():
        return StageStatus(planned, "waiting")
    try:
        bar = json.loads((planned.job / PROGRESS).read_text())
        return StageStatus(planned, "running", bar["description"], bar["done"], bar["total"])
    except (OSError, ValueError, KeyError):
        return StageStatus(planned, "running")


def _failure(planned: Planned) -> Exception:
    mistake = planned.job / MISTAKE
    if mistake.is_file():
        return UserError(mistake.read_text(encoding="utf-8"))
    log = planned.marker(".err")
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    said = [line for line in lines if not line.startswith(("INFO:", "WARNING:", "ERROR:"))]
    return StageFailed(f"{planned.name} failed: {said[-1] if said else 'its process was killed'} (see {log})")


@contextmanager
def only_run(results: Path, display: Display) -> Iterator[None]:
    """Nobody else runs stages of a results folder while the block runs; waits for who does."""
    lock = FileLock(results / "run.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            display.say(f"another run is using {results}; waiting for it, its stages will be shared")
            lock.acquire()
    except OSError as error:  # a folder, or another user's file; TimeoutError, which Timeout is, came first
        raise UserError(f"{lock.lock_file} cannot be locked ({error.strerror}); remove it and run again") from None
    try:
        yield
    finally:
        lock.release()
