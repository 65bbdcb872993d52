"""What each table's stages cost together, and each stage of Table 2."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.pipeline_runs import PipelineRuns
from repro.tables import TABLES, tables_on
from simlm.costs.memory import Memory
from simlm.costs.needs import GPU_BYTES, Needs, size
from simlm.costs.throughput import Throughput
from simlm.costs.work import Work, work_of
from simlm.scales import on_collection, open_scale
from simlm.workflow.plan import Planned, resolve_graph

ELSEWHERE = {"table4": "nq"}
"""Tables that paper scale makes of another collection than its own."""


@dataclass(frozen=True)
class Costs:
    """The stages of a scale's tables, each with its work; the throughput as stages compute, and without any padding."""

    tables: Mapping[str, Sequence[Planned]]
    works: Mapping[Path, Work]
    now: Throughput
    packed: Throughput

    @classmethod
    def of(cls, scale: str, now: Throughput, packed: Throughput) -> "Costs":
        """Those of every table at a scale; nothing is looked for in a results folder."""
        tables = {name: _stages(name, scale) for name in tables_on(open_scale(scale).collection)}
        stages = [stage for one in tables.values() for stage in one]
        works = {stage.job: work_of(stage.config) for stage in stages if stage.config is not None}
        return cls(tables, works, now, packed)

    def hours(self, stages: Iterable[Planned], throughput: Throughput) -> float:
        """GPU hours of stages, each once."""
        jobs = {stage.job for stage in stages}
        return sum(throughput.seconds(self.works[job].flop) for job in jobs) / 3_600

    def longest(self, stages: Sequence[Planned], throughput: Throughput) -> float:
        """Hours of the longest chain of stages that wait for one another: what many GPUs, one a stage, still take."""
        ends: dict[Path, float] = {}
        for stage in stages:  # each follows what it stands on
            below = max((ends[one.job] for one in stage.inputs.values()), default=0.0)
            ends[stage.job] = below + self.hours([stage], throughput)
        return max(ends.values(), default=0.0)


def _stages(name: str, scale: str) -> list[Planned]:
    table = TABLES[name]()
    settings = open_scale(scale)
    if scale == "paper" and name in ELSEWHERE:
        settings = on_collection(settings, ELSEWHERE[name])

    def build(submit: Any) -> None:
        runs = PipelineRuns(settings, 0, submit)
        for row in table.rows:
            row.run(runs)

    return resolve_graph(build, Path("results"))[0]


def table_costs(costs: Costs, gpus: int) -> list[str]:
    """A row a table, and one for all with what they share counted once."""
    lines = [
        f"| table | stages | PFLOP | 1 GPU | 1 GPU, packed throughout | {gpus} GPUs, a stage on each | "
        f"{gpus} GPUs, each stage on all | disk |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    every = list({stage.job: stage for stages in costs.tables.values() for stage in stages}.values())
    for name, stages in (*costs.tables.items(), ("all, what they share once", every)):
        jobs = {stage.job for stage in stages}
        needs = Needs.of(costs.works[job] for job in jobs)
        now, packed = costs.hours(stages, costs.now), costs.hours(stages, costs.packed)
        apart = max(now / gpus, costs.longest(stages, costs.now))
        cells = [f"{needs.flop / 1e15:,.0f}", *(f"{one:,.1f} h" for one in (now, packed, apart, now / gpus))]
        lines.append(f"| {_title(name)} | {len(jobs)} | {' | '.join(cells)} | {size(needs.disk_bytes)} |")
    return lines


def _title(name: str) -> str:
    return name.replace("table", "Table ").replace("figure", "Figure ")


def stage_costs(costs: Costs, name: str) -> list[str]:
    """A row a stage of one table that a GPU has a part in."""
    lines = [
        "| stage | PFLOP | 1 GPU | 1 GPU, packed throughout | disk | GPU memory, whole batch | fits 80 GB in |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for stage in costs.tables[name]:
        work = costs.works[stage.job]
        hours = [costs.hours([stage], way) for way in (costs.now, costs.packed)]
        flop = sum(work.flop.values()) / 1e15
        cells = [f"{flop:,.0f}", *(f"{one:,.2f} h" for one in hours)] if flop else ["–"] * 3
        lines.append(f"| {stage.name} | {' | '.join(cells)} | {size(work.kept_bytes)} | {_memory(work.memory)} |")
    return lines


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return "– | –"
    parts = memory.parts(GPU_BYTES)
    return f"{size(memory.total)} | " + ("not at all" if parts is None else "one" if parts == 1 else f"{parts} parts")
