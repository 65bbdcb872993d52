"""What the whole paper costs, by arithmetic: `python -m repro.costs --help` lists the options."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.pipeline_runs import PipelineRuns
from repro.tables import TABLES, tables_on
from simlm.commands.checks import check_scale, check_tflops
from simlm.commands.command_line import parse
from simlm.commands.leave import leave_by
from simlm.costs.model import BERT_BASE
from simlm.costs.needs import disk_bytes, size
from simlm.costs.sizes import stated
from simlm.costs.throughput import Throughput, throughput
from simlm.costs.work import PASSAGE_BYTES, TOKEN_BYTES, Work, total, work_of
from simlm.data.catalogue import MSMARCO
from simlm.errors import UserError
from simlm.files import write_atomically
from simlm.scales import on_collection, open_scale
from simlm.workflow.plan import Planned, resolve_graph

DESCRIPTION = """What the paper's tables cost at a scale, before anything runs: arithmetic, GPU hours, disk, GPU memory.

Nothing is run or downloaded. The figures are those of --dry-run, summed by table, and what grows with a collection.

Examples:
  python -m repro.costs                       the paper on H100s
  python -m repro.costs --tflops 250          on GPUs whose matrix products reach 250 TFLOP/s
  python -m repro.costs --publish             also write the tables into docs/costs.md
"""
DOCUMENT = Path(__file__).parent.parent / "docs" / "costs.md"
QUOTE = re.compile(r"(<!-- costs: begin -->\n).*?(<!-- costs: end -->)", re.DOTALL)
ELSEWHERE = {"table4": "nq"}
"""Tables that paper scale makes of another collection than its own."""
PASSAGES = (1_000_000, 8_841_823, 21_015_324, 100_000_000, 1_000_000_000)
"""A million, MS MARCO, DPR's Wikipedia, and two that the paper does not have."""
QUERIES = 6_980


@dataclass(frozen=True)
class CostOptions:
    """How to estimate."""

    scale: str = "paper"
    """The scale whose tables are meant."""
    tflops: float = 800.0
    """What one GPU reaches in large bfloat16 matrix products, in TFLOP/s."""
    gpus: int = 8
    """The number of GPUs to compare with one."""
    publish: bool = False
    """Also write the tables into docs/costs.md, between its markers."""


def run(options: CostOptions) -> None:
    """Print the tables, and write them into the document where that is asked for."""
    check_scale(options.scale)
    check_tflops(options.tflops, dry_run=True)
    if options.tflops == 0 or options.gpus < 1:
        raise UserError("--tflops and --gpus: give at least something of both")
    if options.publish and options != CostOptions(publish=True):
        raise UserError("--publish is for the paper on H100s: leave out the other options")
    text = markdown(options)
    print(text)
    if options.publish:
        document = DOCUMENT.read_text(encoding="utf-8")
        write_atomically(DOCUMENT, QUOTE.sub(lambda found: found[1] + text + found[2], document).encode())
        print(f"published: docs/{DOCUMENT.name}")


def markdown(options: CostOptions) -> str:
    """Return all tables, each under its heading."""
    speed = throughput(options.tflops)
    tables = {name: planned(name, options.scale) for name in tables_on(open_scale(options.scale).collection)}
    parts = {
        f"Tables, on 1 and on {options.gpus} GPUs": table_costs(tables, speed, options.gpus),
        "Passages": growth_costs(speed),
    }
    text = "".join("\n".join([f"### {title}", "", *lines, "", ""]) for title, lines in parts.items())
    return f"{text}Speed: {speed.source}.\n"


def planned(name: str, scale: str) -> list[Planned]:
    """Return the stages of a table; nothing is looked for in a results folder."""
    settings = open_scale(scale)
    if scale == "paper" and name in ELSEWHERE:
        settings = on_collection(settings, ELSEWHERE[name])

    def build(submit: Any) -> None:
        runs = PipelineRuns(settings, 0, submit)
        for row in TABLES[name]().rows:
            row.run(runs)

    return resolve_graph(build, Path("results"))[0]


def table_costs(tables: Mapping[str, Sequence[Planned]], speed: Throughput, gpus: int) -> list[str]:
    """Return a row for each table, and one for all of them, in which shared stages count once."""
    lines = [
        f"| table | stages | PFLOP | 1 GPU | {gpus} GPUs, a stage on each | {gpus} GPUs, each stage on all | disk |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    every = {stage.job: stage for stages in tables.values() for stage in stages}
    for name, stages in (*tables.items(), ("all tables, shared stages counted once", list(every.values()))):
        works = {stage.job: work_of(stage.config) for stage in stages}
        alone = sum(hours(work, speed) for work in works.values())
        apart = max(alone / gpus, longest_chain(stages, works, speed))
        needs = total(works.values())
        cells = [f"{needs.all_flop / 1e15:,.0f}", *(f"{one:,.1f} h" for one in (alone, apart, alone / gpus))]
        title = re.sub(r"^(table|figure)(?=\d)", lambda found: f"{found[0].capitalize()} ", name)
        lines.append(f"| {title} | {len(works)} | {' | '.join(cells)} | {size(disk_bytes(needs))} |")
    return lines


def hours(work: Work, speed: Throughput) -> float:
    """Return the hours that one GPU needs."""
    return speed.seconds(work.flop) / 3_600


def longest_chain(stages: Iterable[Planned], works: Mapping[Path, Work], speed: Throughput) -> float:
    """Return the hours of the longest chain of stages that wait for one another, which more GPUs do not shorten."""
    ends: dict[Path, float] = {}
    for stage in stages:  # each follows what it depends on
        before = max((ends[one.job] for one in stage.inputs.values()), default=0.0)
        ends[stage.job] = before + hours(works[stage.job], speed)
    return max(ends.values(), default=0.0)


def growth_costs(speed: Throughput) -> list[str]:
    """Return a row for each number of passages, which are as long as MS MARCO's, for a model as large as BERT-base."""
    lines = [
        f"| passages | tokens on disk | vectors on disk | encode, 1 GPU | search {QUERIES:,} queries, 1 GPU |",
        "|---:|---:|---:|---:|---:|",
    ]
    sizes = stated(MSMARCO)
    length = sizes.passage(144)
    for passages in PASSAGES:
        stored = (TOKEN_BYTES * sizes.passage() + PASSAGE_BYTES) * passages
        encode = speed.seconds({"encode": BERT_BASE.forward(passages * length, length)}) / 60
        search = speed.seconds({"search": 2.0 * QUERIES * passages * BERT_BASE.hidden})
        cells = [size(stored), size(4 * BERT_BASE.hidden * passages), f"{encode:,.1f} min", f"{search:,.2f} s"]
        lines.append(f"| {passages:,} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    leave_by(lambda: run(parse(CostOptions, DESCRIPTION)))
