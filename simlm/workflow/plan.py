"""What a run will do: every stage with its folder, and whether what lies there can be reused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simlm.workflow.experimaestro_internals import job_of, naming, quiet
from simlm.workflow.manifest import damage, outputs_digest, read_manifest
from simlm.workflow.stage import Stage, inputs_of

Build = Callable[[Callable[[Stage, str], object]], Any]
"""Builds stage configurations. It hands each, with its name, to the function it is given, after those that it depends
on."""


@dataclass
class Planned:
    """A stage of a plan.

    Args:
        name: by which a reader knows it.
        job: its folder.
        inputs: the stages it depends on, by parameter name.
        reason: why it has to be run; None when its manifest verifies.
        reused: whether this command found it done.
        waits: whether it can be judged only when the stages it depends on have been made.
        outdated: whether it, or a stage it depends on, read something that has changed since.
        failure: why a run left it out: its own failure, or that of a stage it depends on.
        reproducible: whether the same configuration leaves the same bytes.
        config: the stage itself.
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
    def finished(self) -> bool:
        return self.reason is None

    @property
    def was_finished(self) -> bool:
        """Return whether something is there that must be made again, and not just made or continued."""
        return self.marker(".done").exists()

    def marker(self, suffix: str) -> Path:
        """Return a file that experimaestro keeps of the stage: ".done", ".failed", ".pid", ".sh", or the log ".err"."""
        return self.job / f"{self.job.parent.name.rsplit('.', 1)[-1]}{suffix}"


def plan(build: Build, results: Path, kind: type[Stage] = Stage) -> tuple[list[Planned], Any]:
    """Return all stages that ``build`` asks for, each after those it depends on, and what ``build`` returned.

    With a ``kind`` only the stages of that kind, which depend on no others.
    """
    order, result = resolve_graph(build, results)
    chosen = [stage for stage in order if isinstance(stage.config, kind)]
    for stage in chosen:
        stage.reason = _reason(stage)
    return chosen, result


def resolve_graph(build: Build, results: Path) -> tuple[list[Planned], Any]:
    """Return what `plan` does, without looking at what lies in the folders, which takes time: no stage has a reason."""
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


def ancestors(stage: Planned) -> list[Planned]:
    """Return a stage and all that it depends on, each once."""
    found: dict[Path, Planned] = {stage.job: stage}
    for one in stage.inputs.values():
        found |= {other.job: other for other in ancestors(one)}
    return list(found.values())


def mark_failures(stages: list[Planned], failures: Mapping[Path, Exception]) -> None:
    """Give stages the failures of a run, by folder, and each to what depends on the failed stage, finished or not."""
    for stage in stages:
        inherited = (one.failure for one in stage.inputs.values() if one.failure is not None)
        stage.failure = failures.get(stage.job) or next(inherited, None)


def _reason(stage: Planned) -> str | None:
    """Return why a stage has to be run; the stages it depends on have been judged."""
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
