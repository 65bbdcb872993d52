"""What the whole paper costs, by arithmetic: `python -m repro.costs --help` lists the options."""

import re
from dataclasses import dataclass
from pathlib import Path

from repro.costing.growth import growth_costs, query_costs
from repro.costing.tables import Costs, stage_costs, table_costs
from simlm.commands.checks import check_scale, check_tflops
from simlm.commands.exits import leave_by
from simlm.commands.parse import parse
from simlm.costs.throughput import WAYS, throughput
from simlm.errors import UserError
from simlm.files import write_atomically

DESCRIPTION = """What the paper's tables cost at a scale, before anything runs: arithmetic, GPU hours, disk, GPU memory.

Nothing is run or downloaded. The figures are those of --dry-run, summed by table, and what grows with a collection.

Examples:
  python -m repro.costs                       the paper on H100s
  python -m repro.costs --tflops 250          on GPUs whose matrix products reach 250 TFLOP/s
  python -m repro.costs --publish             also write the tables into docs/costs.md
"""
DOCUMENT = Path(__file__).parent.parent / "docs" / "costs.md"
QUOTE = re.compile(r"(<!-- costs: begin -->\n).*?(<!-- costs: end -->)", re.DOTALL)


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
    """Print the tables, and write them where that is asked for."""
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
    """All tables, each under its heading."""
    now, packed = (throughput(options.tflops, way) for way in WAYS)
    costs = Costs.of(options.scale, now, packed)
    lines = [
        f"### Tables, on 1 and on {options.gpus} GPUs",
        "",
        *table_costs(costs, options.gpus),
        "",
        "### Stages of Table 2",
        "",
        *stage_costs(costs, "table2"),
        "",
        "### Passages",
        "",
        *growth_costs(now, options.gpus),
        "",
        "### Queries over MS MARCO",
        "",
        *query_costs(now),
        "",
        f"As stages compute: {now.source}.",
        "",
        f"Packed throughout: {packed.source}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    leave_by(lambda: run(parse(CostOptions, DESCRIPTION)))
