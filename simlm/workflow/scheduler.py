"""Run what a plan lacks: one process that has the stages started, shows them, and waits."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from simlm.errors import StageFailed, UserError
from simlm.files import lock, read_json
from simlm.workflow.experimaestro_internals import Submitted, identifier_of, naming, quiet, running
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Build, Planned, ancestors, mark_failures, plan
from simlm.workflow.processes import environment, prepare, stop
from simlm.workflow.slurm_jobs import ENDED_JOB, FORGOTTEN_JOB
from simlm.workflow.stage import MISTAKE, PROGRESS, Stage

POLL_SECONDS = 0.25
ENDED = ("done", "failed", "left out")
NO_REASON = re.compile(r"^(INFO|WARNING|ERROR):|\d+%\|")
"""Lines of a log that do not say why a stage failed: experimaestro's, and progress bars."""


@dataclass(frozen=True)
class StageStatus:
    """A stage as a run's display sees it: its state and, once it runs, its progress bar and the lines it has said.

    States are "waiting", "running", "done", "failed", and "left out" for what depends on a failed stage.
    """

    planned: Planned
    state: str
    description: str = ""
    done: int = 0
    total: int | None = None
    said: Sequence[str] = ()


class Display(Protocol):
    """Shows a run; ``say`` is for single lines, ``show`` for all stages at once, several times a second."""

    def say(self, line: str) -> None: ...
    def show(self, stages: list[StageStatus]) -> None: ...


def run(
    build: Build, results: Path, display: Display, launcher: Launcher, keep_going: bool = False
) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` whose manifest does not verify. A second run on the same folder waits for the first.

    Args:
        build: the stages.
        results: the results folder, which is there.
        display: shows the run.
        launcher: starts the stages.
        keep_going: a failed stage raises nothing and leaves out only what depends on it; all of these have their
            ``failure`` in the plan that is returned.

    Returns:
        The verified plan, and what ``build`` returned.

    Raises:
        UserError: a stage met a user's mistake.
        StageFailed: a stage failed otherwise. Stages that were running are stopped then, and go on from their last
            checkpoint in the next run.
    """
    with only_run(results, display):
        last: Planned | None = None
        found: set[Path] | None = None
        failures: dict[Path, Exception] = {}
        while True:
            stages, result = plan(build, results)
            mark_failures(stages, failures)
            finished = {stage.job for stage in stages if stage.finished}
            found = finished if found is None else found & finished
            prepare([stage for stage in stages if stage.failure is None], display.say)
            lacking = next((stage for stage in stages if not stage.finished and stage.failure is None), None)
            if lacking is None:
                for stage in stages:
                    stage.reused = stage.job in found
                return stages, result
            # What it depends on is finished, so a round finishes it too. What depends on it is judged in the next one.
            if last is not None and last.job == lacking.job:
                failures[lacking.job] = StageFailed(
                    f"{lacking.name} ({lacking.job}) does not verify after it ran: {lacking.reason}"
                )
                if not keep_going:
                    raise failures[lacking.job]
                continue
            last = lacking
            failures |= _run_once(build, results, stages, display, launcher, keep_going)


def _run_once(
    build: Build, results: Path, stages: list[Planned], display: Display, launcher: Launcher, keep_going: bool
) -> dict[Path, Exception]:
    """Run what is neither finished nor left out. Return the failures; without ``keep_going`` raise the first."""
    left_out = {stage.job.name for stage in stages if stage.failure is not None or _unsettled(stage)}
    todo = [stage for stage in stages if not stage.finished and stage.job.name not in left_out]
    unfinished = [stage for stage in stages if not stage.finished]
    behind = _behind(todo)
    name_only = naming(results)
    with environment(launcher), running(results, launcher, lambda: stop(unfinished, display.say)) as submitted:

        def submit(stage: Stage, name: str) -> None:
            if identifier_of(stage) not in left_out:
                submitted.submit(stage, behind.get(identifier_of(stage), 0))
                return
            with quiet():
                name_only(stage)  # what else is left out is built on it

        build(submit)
        heard: set[str] = set()
        while True:
            now = _statuses(todo, submitted)
            display.show(now)
            for line in (f"{one.planned.name}: {line}" for one in now for line in one.said):
                if line not in heard:
                    heard.add(line)
                    display.say(line)
            failed = [status.planned for status in now if status.state == "failed"]
            if failed and not keep_going:
                raise _failure(failed[0])
            if all(status.state in ENDED for status in now):
                break
            time.sleep(POLL_SECONDS)
    return {stage.job: _failure(stage) for stage in failed}


def _behind(stages: Sequence[Planned]) -> dict[str, int]:
    """Return the length of the longest chain of stages that depend on each, by identifier; each follows its inputs."""
    behind: dict[str, int] = {}
    for stage in reversed(stages):
        after = behind.setdefault(stage.job.name, 0) + 1
        for one in stage.inputs.values():
            behind[one.job.name] = max(behind.get(one.job.name, 0), after)
    return behind


def _unsettled(stage: Planned) -> bool:
    """Return whether a stage to run depends on a finished one that is judged in the next round, and may be made again.

    To run it now could mean to run it twice.
    """
    below = ancestors(stage)[1:]
    return not stage.was_finished and any(one.waits and one.was_finished for one in below)


def _statuses(stages: Sequence[Planned], submitted: Submitted) -> list[StageStatus]:
    """Return the stages as they are now; each follows what it depends on, and is left out when that failed."""
    found: dict[Path, StageStatus] = {}
    for stage in stages:
        status = _status(stage, submitted.state(stage.job))
        below = {found[one.job].state for one in stage.inputs.values() if one.job in found}
        if status.state in ("waiting", "failed") and below & {"failed", "left out"}:
            status = StageStatus(stage, "left out")
        found[stage.job] = status
    return list(found.values())


def _status(planned: Planned, state: str) -> StageStatus:
    if state not in ("running", "done", "failed"):
        return StageStatus(planned, state)
    shown = (read_json(planned.job / PROGRESS) or {}).get
    return StageStatus(planned, state, shown("description", ""), shown("done", 0), shown("total"), shown("said", ()))


def _failure(planned: Planned) -> Exception:
    mistake = planned.job / MISTAKE
    if mistake.is_file():
        return UserError(mistake.read_text(encoding="utf-8"))
    log = planned.marker(".err")
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    said = [line for line in lines if line.strip() and not NO_REASON.search(line)]
    ending = read_json(planned.marker(".failed")) or {}
    slurm = next((line for line in reversed(said) if line.startswith((ENDED_JOB, FORGOTTEN_JOB))), None)
    if slurm is not None:
        said.append(slurm)
    elif ending.get("reason") == "cancelled":  # experimaestro heard a signal, and the log does not end with it
        said.append(f"its process was told to end: {ending.get('message')}")
    last = said[-1] if said else "its process ended and did not say why"
    if "SIGKILL" in last:  # no command of this project sent it: that would have been told
        last += "; if nobody sent that signal, the system did so for want of memory"
    return StageFailed(f"{planned.name} failed: {last} (see {log})")


@contextmanager
def only_run(results: Path, display: Display) -> Iterator[None]:
    """Be the only run on a results folder while the block lasts; wait for another one first."""
    waiting = f"another run is using {results}; waiting for it, its stages will be shared"
    with lock(results / "run.lock", lambda: display.say(waiting)):
        yield
