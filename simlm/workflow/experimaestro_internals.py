"""What is used of experimaestro beyond its documented interface, in one place, with the reason for each."""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experimaestro import RunMode, experiment
from experimaestro.connectors import Process
from experimaestro.core.objects import ConfigInformation
from experimaestro.scheduler.interfaces import JobFailureStatus
from experimaestro.scheduler.workspace import Workspace
from experimaestro.settings import WorkspaceSettings, get_settings
from experimaestro.taskglobals import Env

from simlm.workflow.launchers import Launcher
from simlm.workflow.slurm_jobs import SlurmJob
from simlm.workflow.stage import Stage

LET_GO_SECONDS = 5.0


def naming(results: Path) -> Callable[[Stage], object]:
    """Return a function that gives a stage its folder, so that others can be built on it; it writes and runs nothing.

    Why: a plan, and a dry run, need the folders before anything is submitted. It has experimaestro print the stage,
    unless that is `quiet`.
    """
    workspace = Workspace(get_settings(), WorkspaceSettings(id=None, path=results), run_mode=RunMode.DRY_RUN)
    return lambda stage: stage.submit(workspace=workspace, run_mode=RunMode.DRY_RUN)


def quiet() -> contextlib.redirect_stderr[io.StringIO]:
    """Keep to itself what experimaestro prints of what it would do, and what it thinks of our types."""
    return contextlib.redirect_stderr(io.StringIO())


def job_of(stage: Stage) -> Path:
    """Return the folder of a stage that was named or submitted."""
    return Path(stage.__xpm__.job.path)


def identifier_of(stage: Stage) -> str:
    """Return the hash of a configuration, which names its folder."""
    identifier: str = stage.__xpm__.identifier.all.hex()
    return identifier


def load_stage(parameters: Path) -> Stage:
    """Return the stage whose parameters experimaestro wrote into a file, as the stage's own process has it.

    Why: the processes that share a stage's work start from that file too.
    """
    written = json.loads(parameters.read_text(encoding="utf-8"))
    Env.instance().wspath = Path(written["workspace"])
    Env.instance().taskpath = parameters.parent
    stage: Stage = ConfigInformation.fromParameters(written["objects"])
    return stage


class Submitted:
    """The stages that were submitted to a running experiment."""

    def __init__(self, scheduler: Any, launcher: Launcher) -> None:
        self.scheduler = scheduler
        self.launcher = launcher
        self.jobs: dict[Path, Any] = {}

    def submit(self, stage: Stage, behind: int) -> None:
        """Have a stage, with ``behind`` others waiting for it, run as soon as those it depends on are done."""
        stage.submit(launcher=self.launcher.for_stage(stage, behind))
        self.jobs[job_of(stage)] = stage.__xpm__.job

    def state(self, job: Path) -> str:
        """Return "waiting", "running", "done", "failed", or "left out" when a stage that it depends on failed."""
        found = self.jobs[job]
        # The scheduler knows how a process ended that was killed and has noted nothing, and that Slurm stopped a job
        # only to begin it again, which its process has noted as a failure.
        state = found.scheduler_state if found.scheduler_state.finished() else found.state
        if not state.finished():
            return "running" if state.running() else "waiting"
        if state.is_error() and not found.scheduler_state.finished():
            return "running"
        if not state.is_error():
            return "done"
        return "left out" if state.failure_reason is JobFailureStatus.DEPENDENCY else "failed"


@contextmanager
def running(results: Path, launcher: Launcher, stop: Callable[[], object]) -> Iterator[Submitted]:
    """Run an experiment while the block lasts, then wait until experimaestro does nothing any more.

    Why: the scheduler is one object for the whole process, which remembers the jobs of an earlier experiment and would
    not run them again; and when the block fails, experimaestro must not start another stage.

    Args:
        results: the results folder.
        launcher: starts the stages.
        stop: called when the block fails, once no more stages are started: ends those that run.
    """
    logging.getLogger("xpm").setLevel(logging.CRITICAL)
    if Process.handler(SlurmJob.KIND) is not SlurmJob:  # experimaestro's own asks the accounting about jobs it finds
        Process.HANDLERS[SlurmJob.KIND] = SlurmJob
    with experiment(results, "run", no_environmental_impact=True, register_signals=False, launcher=launcher) as current:
        scheduler = current.scheduler
        scheduler.jobs.clear()
        try:
            yield Submitted(scheduler, launcher)
        except BaseException:
            asyncio.run_coroutine_threadsafe(_let_go(cancel=True), scheduler.loop).result()
            stop()
            raise
    asyncio.run_coroutine_threadsafe(_let_go(cancel=False), scheduler.loop).result()


async def _let_go(cancel: bool) -> None:
    """Wait for experimaestro's tasks; with ``cancel`` it starts no more stages and watches none."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks if cancel else ():
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LET_GO_SECONDS)
