"""How long stages will take, from what they or their like took before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlm.commands.machine import described, this_machine
from simlm.commands.origin import cpu_model
from simlm.commands.seeds import without_seed
from simlm.stages.manifest import read_manifest, seconds_of
from simlm.stages.plan import Planned
from simlm.stages.slots import CPU_SLOTS, gpus_of_slots

REPORTS = Path(__file__).resolve().parents[2] / "reports"


@dataclass(frozen=True)
class Recorded:
    """What a stage took, and on which machine."""

    seconds: float
    machine: str


def published(scale: str) -> dict[str, Recorded]:
    """What each stage took in the published reports of a scale, by its name; {} when there are none."""
    found: dict[str, Recorded] = {}
    for path in sorted((REPORTS / scale).glob("*.json")):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            seconds = {stage["name"]: float(stage["seconds"]) for stage in report["stages"]}
            machine = _machine(report.get("provenance", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        found |= {name: Recorded(one, machine) for name, one in seconds.items()}
    return found


def _machine(provenance: Mapping[str, Any]) -> str:
    """The machine of a report's provenance, by its GPUs where it has some."""
    hardware = provenance.get("platform", {}).get("hardware", {})
    cpu = hardware.get("cpu", {})
    return described(
        [gpu["architecture"] for gpu in hardware.get("gpu", [])], cpu.get("model"), cpu.get("number of cores")
    )


def estimated_seconds(stages: Sequence[Planned], scale: str) -> dict[Path, float]:
    """What each stage took, or what one like it took before.

    That is the same stage with another seed, in the results folder before the published reports, or else the mean over
    the stages of its kind. A stage whose kind was never measured has no estimate.
    """
    measured = {stage.job: seconds_of(read_manifest(stage.job) or {}) for stage in stages if stage.valid}
    by_name = {name: one.seconds for name, one in published(scale).items()}
    by_name |= {without_seed(stage.name): measured[stage.job] for stage in stages if stage.job in measured}
    named = {stage.job: by_name[name] for stage in stages if (name := without_seed(stage.name)) in by_name} | measured
    kinds: dict[str, list[float]] = {}
    for job, seconds in named.items():
        kinds.setdefault(job.parent.name, []).append(seconds)
    by_kind = {kind: sum(seconds) / len(seconds) for kind, seconds in kinds.items()}
    return {stage.job: by_kind[kind] for stage in stages if (kind := stage.job.parent.name) in by_kind} | named


def summary(stages: Sequence[Planned], estimates: Mapping[Path, float], scale: str) -> str:
    """In words: how many stages are to do, for how long as far as that is known, and on which machine it was measured.

    The wall time is that of slots which are never idle; the GPUs are those of `choose_gpus`.
    """
    todo = [stage for stage in stages if not stage.valid]
    known = [estimates[stage.job] for stage in todo if stage.job in estimates]
    line = f"{len(todo)} of {len(stages)} stages to do"
    gpus = gpus_of_slots()
    slots = len(gpus) or CPU_SLOTS
    if known:
        on = f"{slots} GPU{'s' if slots > 1 else ''}, one stage on each" if gpus else f"{slots} slots on a CPU"
        line += f", about {sum(known) / 60:.0f} min of work: at least {sum(known) / 60 / slots:.0f} min with {on}"
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} without an estimate"
    return "\n".join([line, *_remarks(stages, scale, bool(known), len(known) < len(todo))])


def _remarks(stages: Sequence[Planned], scale: str, some: bool, lacking: bool) -> list[str]:
    """Where the estimates come from, and how to get some where there are none."""
    remarks = []
    recorded = published(scale)
    if some:
        here = this_machine()
        valid = [read_manifest(stage.job) or {} for stage in stages if stage.valid]
        sources = {one.machine for one in map(recorded.get, {without_seed(stage.name) for stage in stages}) if one}
        sources |= {here if source == cpu_model() else source for one in valid if (source := one.get("hardware"))}
        remarks.append(f"measured on {'; '.join(sorted(sources)) or 'an unknown machine'}")
        if sources - {here}:
            remarks[-1] += f". This machine is {here}: where that is another kind, expect other times"
    if lacking and not recorded:
        remarks.append(
            f"no report of {scale} scale is published: run one table (python -m repro.table2 --scale {scale}); what it "
            "leaves in the results folder gives stages like its own an estimate"
        )
    return remarks
