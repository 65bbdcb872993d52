"""How long stages will take: what they or their like took before, or else their arithmetic at a GPU's throughput."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlm.commands.machine import described, this_machine
from simlm.commands.origin import cpu_model
from simlm.commands.seeds import without_seed
from simlm.costs.needs import GPU_BYTES, Needs, misfits
from simlm.costs.throughput import Throughput, throughput
from simlm.costs.work import Work, work_of
from simlm.workflow.manifest import read_manifest, seconds_of
from simlm.workflow.plan import Planned
from simlm.workflow.resources import CPU_SLOTS, allocated_nodes, chosen_processes, gpus_of_slots

REPORTS = Path(__file__).resolve().parents[2] / "reports"


@dataclass(frozen=True)
class Recorded:
    """What a stage took, and on which machine."""

    seconds: float
    machine: str


@dataclass(frozen=True)
class Estimates:
    """What each stage has to do, how many seconds that takes as far as it is known, and at which throughput."""

    works: Mapping[Path, Work]
    seconds: Mapping[Path, float]
    throughput: Throughput | None
    """None where no stage's time is one of arithmetic."""


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


def estimated(stages: Sequence[Planned], scale: str, tflops: float | None = None) -> Estimates:
    """What each stage took; of one to do, what one like it took before, or else how long its arithmetic takes.

    One like it is the same stage with another seed, in the results folder before the published reports, or else the
    mean over the stages of its kind, for as much arithmetic. With ``tflops``, what a GPU reaches in matrix products,
    all arithmetic to do is estimated from that. A stage whose kind was never measured has no estimate where nothing is
    known of it, where it has no arithmetic, or on a CPU, of which the shares that a GPU reaches say nothing.
    """
    works = {stage.job: Work() if stage.config is None else work_of(stage.config) for stage in stages}
    todo = {stage.job for stage in stages if not stage.valid}
    seconds = _measured(stages, scale, works)
    without = {job for job in todo if gpus_of_slots() and job not in seconds} if tflops is None else todo
    by_arithmetic = {job for job in without if works[job].flop}
    if not by_arithmetic:
        return Estimates(works, seconds, None)
    reached = throughput(tflops)
    return Estimates(works, seconds | {job: reached.seconds(works[job].flop) for job in by_arithmetic}, reached)


def _measured(stages: Sequence[Planned], scale: str, works: Mapping[Path, Work]) -> dict[Path, float]:
    measured = {stage.job: seconds_of(read_manifest(stage.job) or {}) for stage in stages if stage.valid}
    by_name = {name: one.seconds for name, one in published(scale).items()}
    by_name |= {without_seed(stage.name): measured[stage.job] for stage in stages if stage.job in measured}
    named = {stage.job: by_name[name] for stage in stages if (name := without_seed(stage.name)) in by_name} | measured
    kinds: dict[str, list[Path]] = {}
    for job in named:
        kinds.setdefault(job.parent.name, []).append(job)
    like = {stage.job: kinds[kind] for stage in stages if (kind := stage.job.parent.name) in kinds}
    return {job: _mean(named, works, others, works[job]) for job, others in like.items()} | named


def _mean(seconds: Mapping[Path, float], works: Mapping[Path, Work], jobs: Sequence[Path], work: Work) -> float:
    """What stages took in the mean: for each operation where all of them compute, otherwise each."""
    flops = [sum(works[job].flop.values()) for job in jobs]
    total = sum(seconds[job] for job in jobs)
    if work.flop and all(flops):
        return total / sum(flops) * sum(work.flop.values())
    return total / len(jobs)


def summary(stages: Sequence[Planned], estimates: Estimates, scale: str, results: Path) -> str:
    """In words: how many stages are to do, for how long, on which machine that was measured, and what does not fit.

    The wall time is that of slots which are never idle; the GPUs are those of `choose_gpus`.
    """
    todo = [stage for stage in stages if not stage.valid]
    known = [estimates.seconds[stage.job] for stage in todo if stage.job in estimates.seconds]
    line = f"{len(todo)} of {len(stages)} stages to do"
    gpus = gpus_of_slots()
    slots = len(gpus) * allocated_nodes() or CPU_SLOTS
    if known:
        each = "one stage on each" if chosen_processes() == 1 else f"{chosen_processes()} for each stage"
        on = f"{slots} GPU{'s' if slots > 1 else ''}, {each}" if gpus else f"{slots} slots on a CPU"
        if estimates.throughput is not None and not gpus and estimates.throughput.stated:
            slots, on = 1, "one such GPU"
        line += f", about {span(sum(known))} of work: at least {span(sum(known) / slots)} with {on}"
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} without an estimate"
    remarks = _remarks(stages, scale, estimates, len(known) < len(todo))
    works = {stage.name: estimates.works[stage.job] for stage in todo}
    if any(work != Work() for work in works.values()):
        remarks += [f"to do: {Needs.of(works.values())}", *misfits(works, results, gpu_bytes())]
    return "\n".join([line, *remarks])


def span(seconds: float) -> str:
    """A time in minutes, or in hours where there are many."""
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3_600:,.0f} h"


def gpu_bytes() -> float:
    """The memory of this machine's first GPU, or that of an H100 where stages have none."""
    if not gpus_of_slots():
        return GPU_BYTES
    import torch

    return float(torch.cuda.get_device_properties(0).total_memory)


def _remarks(stages: Sequence[Planned], scale: str, estimates: Estimates, lacking: bool) -> list[str]:
    """Where the estimates come from, and how to get some where there are none."""
    remarks = []
    recorded = published(scale)
    here = this_machine()
    valid = [read_manifest(stage.job) or {} for stage in stages if stage.valid]
    sources = {one.machine for one in map(recorded.get, {without_seed(stage.name) for stage in stages}) if one}
    sources |= {here if source == cpu_model() else source for one in valid if (source := one.get("hardware"))}
    if sources or (estimates.seconds and estimates.throughput is None):
        remarks.append(f"measured on {'; '.join(sorted(sources)) or 'an unknown machine'}")
        if sources - {here}:
            remarks[-1] += f". This machine is {here}: where that is another kind, expect other times"
    if estimates.throughput is not None:
        remarks.append(f"by arithmetic: {estimates.throughput.source}; small models reach less")
    if lacking and not recorded:
        remarks.append(
            f"no report of {scale} scale is published: run one table (python -m repro.table2 --scale {scale}); what it "
            "leaves in the results folder gives stages like its own an estimate"
        )
    return remarks
