"""Take over finished stages from results folders that were made elsewhere."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simlm.errors import UserError
from simlm.files import put_in_place
from simlm.paths import instead
from simlm.workflow.manifest import MANIFEST, damage, outputs_digest, read_manifest
from simlm.workflow.plan import Build, Planned, plan
from simlm.workflow.processes import jobs_of, process_of

NOT_TAKEN = shutil.ignore_patterns("work", "*.pid", "*.lock")


@dataclass(frozen=True)
class Joined:
    """A stage that is not finished here, and the folder elsewhere where it is."""

    stage: Planned
    source: Path


@dataclass(frozen=True)
class Joinable:
    """What can be taken over, and a line for each finished stage that is neither taken over nor finished here."""

    stages: list[Joined]
    refused: list[str]


def joinable(build: Build, results: Path, others: Sequence[Path]) -> Joinable:
    """Find what stages of ``build`` can be taken over from other results folders; write nothing.

    A stage is taken when its manifest verifies, for its own outputs and for those of the stages that it depends on, as
    they are here or will be.

    Args:
        build: the stages.
        results: this results folder.
        others: results folders made elsewhere.

    Raises:
        UserError: a folder holds no stages, Slurm does not say whether a job works on a stage here, or two folders hold
            different results for one configuration. A stage that never leaves the same bytes twice is taken from the
            first folder that has it, this one before all others.
    """
    for folder in others:
        if not (folder / "jobs").is_dir():
            raise UserError(
                f"--join {folder}: no results folder (jobs {instead(folder / 'jobs')}); choose one that a command wrote"
            )
    stages, _ = plan(build, results)
    at_work = jobs_of(stages)
    digests: dict[Path, str] = {}
    joined, refused = [], []
    for stage in stages:
        inputs = {name: digests.get(one.job, "") for name, one in stage.inputs.items()}
        places = [folder / stage.job.relative_to(results) for folder in (results, *others)]
        damages = {job: _damage(job, inputs) for job in places if (job / MANIFEST).exists()}
        finished = {job: outputs_digest(read_manifest(job) or {}) for job, reason in damages.items() if reason is None}
        if not finished:
            refused += [f"not taken: {stage.name} ({job}): {damages[job]}" for job in places[1:] if job in damages]
            continue
        first = next(iter(finished))
        other = next((job for job in finished if finished[job] != finished[first]), None)
        if other is not None and stage.reproducible:
            raise UserError(
                f"two different results for one configuration, {stage.name}: {first} and {other}; "
                "remove the one that you do not trust and run again"
            )
        digests[stage.job] = finished[first]
        if first != stage.job and process_of(stage) is None and stage.job not in at_work:
            joined.append(Joined(stage, first))
    return Joinable(joined, refused)


def _damage(job: Path, inputs: dict[str, str]) -> str | None:
    """Return why a finished stage may not be taken; ``inputs`` as for `damage`, "" for a stage that no folder has."""
    lacking = [name for name, digest in inputs.items() if not digest]
    reason = damage(job, dict((read_manifest(job) or {}).get("inputs") or {})) if lacking else damage(job, inputs)
    return reason or (f"it stands on {lacking[0]}, which is neither here nor can be taken" if lacking else None)


def take(joined: Sequence[Joined]) -> int:
    """Copy stages here, each as a whole or not at all, and return how many. No run may use the folder meanwhile."""
    for one in joined:
        job = one.stage.job
        partial = job.with_name(f"{job.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(one.source, partial, symlinks=True, ignore=NOT_TAKEN)
        put_in_place(partial, job)
    return len(joined)
