"""How long stages will take: what they or their like took before, or else their arithmetic at a GPU's throughput."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlm.commands.machine import described, this_machine
from simlm.commands.origin import cpu_model
from simlm.commands.seeds import without_seed
from simlm.costs.throughput import Throughput, throughput
from simlm.costs.work import Work, work_of
from simlm.workflow.manifest import read_manifest, seconds_of
from simlm.workflow.plan import Planned
from simlm.workflow.resources import Choices

REPORTS = Path(__file__).resolve().parents[2] / "reports"


@dataclass(frozen=True)
class Recorded:
    """What a stage took, and on which machine."""

    seconds: float
    machine: str


@dataclass(frozen=True)
class Estimates:
    """What each stage needs, and how many seconds it takes, as far as that is known, by the stage's folder.

    choices: what stages compute with.
    throughput: at which arithmetic was turned into seconds; None where no estimate is made so.
    """

    works: Mapping[Path, Work]
    seconds: Mapping[Path, float]
    throughput: Throughput | None
    choices: Choices


def published(scale: str) -> dict[str, Recorded]:
    """Return what each stage took in the published reports of a scale, by its name; {} when there are none."""
    found: dict[str, Recorded] = {}
    for path in sorted((REPORTS / scale).glob("*.json")):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            machine = _machine(report.get("provenance", {}))
            found |= {stage["name"]: Recorded(float(stage["seconds"]), machine) for stage in report["stages"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _machine(provenance: Mapping[str, Any]) -> str:
    """Return the machine of a report's provenance in words, by its GPUs where it has some."""
    hardware = provenance.get("platform", {}).get("hardware", {})
    cpu = hardware.get("cpu", {})
    gpus = [gpu["architecture"] for gpu in hardware.get("gpu", [])]
    return described(gpus, cpu.get("model"), cpu.get("number of cores"))


def estimated(stages: Sequence[Planned], scale: str, choices: Choices, tflops: float | None = None) -> Estimates:
    """Return what each stage needs, and the seconds that it took or will take.

    Of a stage to do these are the seconds that one like it took before, or else those of its arithmetic. One like it is
    the same stage with another seed, in the results folder before the published reports, or else the mean over the
    stages of its kind, for as much arithmetic. A stage has no estimate where none of its kind was measured and nothing
    is known of it, it has no arithmetic, or it runs on a CPU, of which a GPU's measurements say nothing.

    Args:
        stages: with the folders that they have in the results folder.
        scale: whose published reports are read.
        choices: what stages compute with.
        tflops: what a GPU reaches in matrix products; all arithmetic to do is then estimated from that.
    """
    works = {stage.job: work_of(stage.config) for stage in stages}
    seconds = _measured(stages, scale, works)
    todo = {stage.job for stage in stages if not stage.finished}
    if tflops is None:
        todo = {job for job in todo if job not in seconds} if choices.gpus else set()
    by_arithmetic = [job for job in todo if works[job].flop]
    if not by_arithmetic:
        return Estimates(works, seconds, None, choices)
    reached = throughput(tflops)
    return Estimates(
        works, seconds | {job: reached.seconds(works[job].flop) for job in by_arithmetic}, reached, choices
    )


def _measured(stages: Sequence[Planned], scale: str, works: Mapping[Path, Work]) -> dict[Path, float]:
    """Return the seconds of stages that ran, or of which one like it ran."""
    measured = {stage.job: seconds_of(read_manifest(stage.job) or {}) for stage in stages if stage.finished}
    by_name = {name: one.seconds for name, one in published(scale).items()}
    by_name |= {without_seed(stage.name): measured[stage.job] for stage in stages if stage.job in measured}
    named = {stage.job: by_name[name] for stage in stages if (name := without_seed(stage.name)) in by_name} | measured
    kinds: dict[str, list[Path]] = {}
    for job in named:
        kinds.setdefault(job.parent.name, []).append(job)
    like = {stage.job: kinds[kind] for stage in stages if (kind := stage.job.parent.name) in kinds}
    return {job: _mean(named, works, others, works[job]) for job, others in like.items()} | named


def _mean(seconds: Mapping[Path, float], works: Mapping[Path, Work], jobs: Sequence[Path], work: Work) -> float:
    """Return what stages took in the mean: for each operation where all of them compute, otherwise each."""
    flop = [works[job].all_flop for job in jobs]
    taken = sum(seconds[job] for job in jobs)
    return taken / sum(flop) * work.all_flop if work.flop and all(flop) else taken / len(jobs)


def sources(stages: Sequence[Planned], scale: str, estimates: Estimates) -> list[str]:
    """Return in words where the estimates come from, and how to get some where there are none."""
    recorded, here = published(scale), this_machine(estimates.choices)
    names = {without_seed(stage.name) for stage in stages}
    machines = {recorded[name].machine for name in names if name in recorded}
    hardware = [(read_manifest(stage.job) or {}).get("hardware") for stage in stages if stage.finished]
    machines |= {here if one == cpu_model() else one for one in hardware if one}
    said = []
    if machines or (estimates.seconds and estimates.throughput is None):
        said.append(f"measured on {'; '.join(sorted(machines)) or 'an unknown machine'}")
        if machines - {here}:
            said[-1] += f". This machine is {here}: where that is another kind, expect other times"
    if estimates.throughput is not None:
        said.append(f"by arithmetic: {estimates.throughput.source}; small models reach less")
    if not recorded and any(stage.job not in estimates.seconds for stage in stages if not stage.finished):
        said.append(
            f"no report of {scale} scale is published: run one table (python -m repro.table2 --scale {scale}); what it "
            "leaves in the results folder gives stages like its own an estimate"
        )
    return said
