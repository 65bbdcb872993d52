"""What a run will do: every stage with its folder, and whether what lies there can be reused."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experimaestro import RunMode, experiment

from simlm.stages.manifest import damage, outputs_digest, read_manifest
from simlm.stages.stage import Stage, inputs_of

EXPERIMENT: dict[str, Any] = {"no_environmental_impact": True, "register_signals": False}

Build = Callable[[Callable[[Stage, str], object]], Any]
"""Builds stage configurations, handing each with its name, after those it stands on, to the function it is given."""


@dataclass
class Planned:
    """A stage of a plan. ``reason`` is None when its manifest verifies, otherwise why it has to be run."""

    name: str
    job: Path
    inputs: dict[str, "Planned"] = field(default_factory=dict)
    reason: str | None = None

    @property
    def valid(self) -> bool:
        return self.reason is None

    @property
    def was_finished(self) -> bool:
        """Whether something is there that must be made again, and not just made or continued."""
        return any(self.job.glob("*.done"))


def plan(build: Build, results: Path) -> tuple[list[Planned], Any]:
    """All stages that ``build`` asks for, in an order in which each follows what it stands on, and its result."""
    order: list[Planned] = []
    by_stage: dict[int, Planned] = {}
    by_job: dict[Path, Planned] = {}

    def note(stage: Stage, name: str) -> None:
        stage.submit()
        job = Path(stage.__xpm__.job.path)
        inputs = {name: by_stage[id(one)] for name, one in inputs_of(stage).items()}
        if job not in by_job:
            by_job[job] = Planned(name, job, inputs)
            order.append(by_job[job])
        by_stage[id(stage)] = by_job[job]

    # Experimaestro prints what it would do in its own terms.
    with contextlib.redirect_stderr(io.StringIO()), experiment(results, "plan", run_mode=RunMode.DRY_RUN, **EXPERIMENT):
        result = build(note)
    for stage in order:
        stage.reason = _reason(stage)
    return order, result


def _reason(stage: Planned) -> str | None:
    if not stage.job.is_dir():
        return "new"
    waiting = [name for name, one in stage.inputs.items() if not one.valid]
    if waiting and not stage.was_finished:
        return f"waits for {', '.join(waiting)}"
    digests = {}
    for name, one in stage.inputs.items():
        manifest = read_manifest(one.job)
        if manifest is None:
            return f"waits for {name}"
        digests[name] = outputs_digest(manifest)
    return damage(stage.job, digests)
