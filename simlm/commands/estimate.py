"""How long stages will take, from what they or their like took before."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from simlm.commands.seeds import without_seed
from simlm.stages.manifest import read_manifest, seconds_of
from simlm.stages.plan import Planned
from simlm.stages.slots import CPU_SLOTS

REPORTS = Path(__file__).resolve().parents[2] / "reports"


def published_seconds(scale: str) -> dict[str, float]:
    """What each stage took in the published reports of a scale, by its name; {} when there are none."""
    seconds: dict[str, float] = {}
    for path in sorted((REPORTS / scale).glob("*.json")):
        try:
            stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
            seconds |= {stage["name"]: float(stage["seconds"]) for stage in stages}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return seconds


def estimated_seconds(stages: Sequence[Planned], scale: str) -> dict[Path, float]:
    """What each stage took, or what one like it took before.

    That is the same stage with another seed, in the results folder before the published reports, or else the mean over
    the stages of its kind. A stage whose kind was never measured has no estimate.
    """
    measured = {stage.job: seconds_of(read_manifest(stage.job) or {}) for stage in stages if stage.valid}
    by_name = published_seconds(scale)
    by_name |= {without_seed(stage.name): measured[stage.job] for stage in stages if stage.job in measured}
    named = {stage.job: by_name[name] for stage in stages if (name := without_seed(stage.name)) in by_name} | measured
    kinds: dict[str, list[float]] = {}
    for job, seconds in named.items():
        kinds.setdefault(job.parent.name, []).append(seconds)
    by_kind = {kind: sum(seconds) / len(seconds) for kind, seconds in kinds.items()}
    return {stage.job: by_kind[kind] for stage in stages if (kind := stage.job.parent.name) in by_kind} | named


def summary(stages: Sequence[Planned], estimates: Mapping[Path, float]) -> str:
    """In words: how many stages are to do, and for how long as far as that is known."""
    todo = [stage for stage in stages if not stage.valid]
    known = [estimates[stage.job] for stage in todo if stage.job in estimates]
    line = f"{len(todo)} of {len(stages)} stages to do"
    if known:
        line += f", about {sum(known) / 60:.0f} min of one slot, {CPU_SLOTS} slots on a CPU"
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} without an estimate"
    return line
