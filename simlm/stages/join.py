"""Takes over finished stages from results folders that were made elsewhere."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simlm.errors import UserError
from simlm.stages.manifest import damage, outputs_digest, read_manifest
from simlm.stages.plan import Build, Planned, plan
from simlm.stages.processes import process_of, slurm_job

NOT_TAKEN = shutil.ignore_patterns("work", "*.pid", "*.lock")


@dataclass(frozen=True)
class Joined:
    """A stage that is not valid here, and the folder elsewhere where it is."""

    stage: Planned
    source: Path


def joinable(build: Build, results: Path, others: Sequence[Path]) -> list[Joined]:
    """What of ``build`` can be taken over from other results folders; nothing is written.

    A stage is taken when its manifest verifies, for its outputs and for those of the stages that it stands on as they
    are here, or will be. UserError when two folders hold different results for one configuration, unless the stage can
    never leave the same bytes twice: then the first folder's counts, this one's before all others'.
    """
    for folder in others:
        if not (folder / "jobs").is_dir():
            raise UserError(f"--join {folder}: no results folder (it has no jobs/); choose one that a command wrote")
    stages, _ = plan(build, results)
    digests: dict[Path, str] = {}
    joined = []
    for stage in stages:
        inputs = {name: digests.get(one.job, "") for name, one in stage.inputs.items()}
        places = [folder / stage.job.relative_to(results) for folder in (results, *others)]
        valid = {job: outputs_digest(read_manifest(job) or {}) for job in places if _verifies(job, inputs)}
        if not valid:
            continue
        first = next(iter(valid))
        other = next((job for job in valid if valid[job] != valid[first]), None)
        if other is not None and stage.reproducible:
            raise UserError(
                f"two different results for one configuration, {stage.name}: {first} and {other}; "
                "remove the one that you do not trust and run again"
            )
        digests[stage.job] = valid[first]
        if first != stage.job and process_of(stage) is None and slurm_job(stage) is None:
            joined.append(Joined(stage, first))
    return joined


def _verifies(job: Path, inputs: dict[str, str]) -> bool:
    return read_manifest(job) is not None and damage(job, inputs) is None


def take(joined: Sequence[Joined]) -> int:
    """Copy stages here, each as a whole or not at all; how many. No run may be using the folder meanwhile."""
    for one in joined:
        job = one.stage.job
        partial = job.with_name(f"{job.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(one.source, partial, symlinks=True, ignore=NOT_TAKEN)
        shutil.rmtree(job, ignore_errors=True)
        partial.rename(job)
    return len(joined)
