"""What a run will do: every stage with its folder, and whether what lies there can be reused."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experimaestro import RunMode
from experimaestro.scheduler.workspace import Workspace
from experimaestro.settings import WorkspaceSettings, get_settings

from simlm.workflow.manifest import damage, outputs_digest, read_manifest
from simlm.workflow.stage import Stage, inputs_of

Build = Callable[[Callable[[Stage, str], object]], Any]
"""Builds stage configurations, handing each with its name, after those it stands on, to the function it is given."""


@dataclass
class Planned:
    """A stage of a plan.

    ``reason`` is None when its manifest verifies, otherwise why it has to be run;
    ``reused`` whether this command found it done.

    A stage that ``waits`` can be judged only when the stages it stands on have been made. One that is ``outdated`` read
    something that has changed since, or stands on one that did. ``failure`` is why a run that went on left it out: its
    own failure, or that of a stage it stands on.
    """

    name: str
    job: Path
    inputs: dict[str, "Planned"] = field(default_factory=dict)
    reason: str | None = None
    reused: bool = False
    waits: bool = False
    outdated: bool = False
    failure: Exception | None = None
    reproducible: bool = True
    config: Stage | None = field(default=None, repr=False, compare=False)

    @property
    def valid(self) -> bool:
        return self.reason is None

    @property
    def was_finished(self) -> bool:
        """Whether something is there that must be made again, and not just made or continued."""
        return self.marker(".done").exists()

    def marker(self, suffix: str) -> Path:
        """A file that experimaestro keeps of the stage: ".done", ".failed", ".pid", or the log ".err"."""
        return self.job / f"{self.job.parent.name.rsplit('.', 1)[-1]}{suffix}"


def plan(build: Build, results: Path, kind: type[Stage] = Stage) -> tuple[list[Planned], Any]:
    """All stages that ``build`` asks for, in an order in which each follows what it stands on, and its result.

    With a ``kind`` the stages of that kind only, which stand on no others.
    """
    order, result = resolve_graph(build, results)
    chosen = [stage for stage in order if isinstance(stage.config, kind)]
    for stage in chosen:
        stage.reason = _reason(stage)
    return chosen, result


def resolve_graph(build: Build, results: Path) -> tuple[list[Planned], Any]:
    """What `plan` gives before it looks at what lies in the folders, which takes time: no stage has a reason yet."""
    order: list[Planned] = []
    by_stage: dict[int, Planned] = {}
    by_job: dict[Path, Planned] = {}
    name_only = naming(results)

    def note(stage: Stage, name: str) -> None:
        name_only(stage)
        job = job_of(stage)
        inputs = {name: by_stage[id(one)] for name, one in inputs_of(stage).items()}
        if job not in by_job:
            by_job[job] = Planned(name, job, inputs, reproducible=stage.reproducible, config=stage)
            order.append(by_job[job])
        by_stage[id(stage)] = by_job[job]

    with quiet():
        return order, build(note)


def naming(results: Path) -> Callable[[Stage], object]:
    """What gives a stage its folder, so that others can be built on it, and neither writes nor runs anything.

    It has experimaestro print the stage, unless that is `quiet`.
    """
    workspace = Workspace(get_settings(), WorkspaceSettings(id=None, path=results), run_mode=RunMode.DRY_RUN)
    return lambda stage: stage.submit(workspace=workspace, run_mode=RunMode.DRY_RUN)


def quiet() -> contextlib.redirect_stderr[io.StringIO]:
    """Keeps to itself what experimaestro prints of what it would do, and what it thinks of our types."""
    return contextlib.redirect_stderr(io.StringIO())


def ancestors(stage: Planned) -> list[Planned]:
    """A stage and all that it stands on, each once."""
    found: dict[Path, Planned] = {stage.job: stage}
    for one in stage.inputs.values():
        found |= {other.job: other for other in ancestors(one)}
    return list(found.values())


def mark_failures(stages: list[Planned], failures: Mapping[Path, Exception]) -> None:
    """Give a plan's stages the failures of a run, and each to what stands on the failed stage, finished or not."""
    for stage in stages:
        inherited = (one.failure for one in stage.inputs.values() if one.failure is not None)
        stage.failure = failures.get(stage.job) or next(inherited, None)


def job_of(stage: Stage) -> Path:
    """The folder of a stage that was planned."""
    return Path(stage.__xpm__.job.path)


def _reason(stage: Planned) -> str | None:
    manifest = read_manifest(stage.job)
    if manifest is None and not stage.was_finished:
        return "unfinished" if stage.job.is_dir() else "new"
    digests: dict[str, str] = {}
    for name, one in stage.inputs.items():
        try:
            digests[name] = outputs_digest(read_manifest(one.job) or {})
        except (KeyError, TypeError, AttributeError):
            stage.waits = True
            return f"waits for {name} to be made again"
    if (changed := next((name for name, one in stage.inputs.items() if one.outdated), None)) is not None:
        stage.waits = stage.outdated = True
        return f"waits for {changed} to be made again"
    reason = damage(stage.job, digests)
    if reason is None and stage.config is not None:
        reason = stage.config.outdated(stage.job)
        stage.outdated = reason is not None
    return reason
