"""What a run would do, and for how long."""

import re

from rich.console import Console
from rich.table import Table

from simlm.commands.estimate import measured_seconds, published_seconds
from simlm.stages.plan import Planned
from simlm.stages.slots import CPU_SLOTS

TRIAL = re.compile(r", (rate|alpha) [0-9.e-]+")
"""What the name of a trial's stage has more than that of the table's."""


def print_plan(stages: list[Planned], scale: str) -> None:
    """List every stage as valid or to do with an estimate in seconds, and the sum."""
    known = published_seconds(scale)
    table = Table(box=None)
    for column in ("stage", "folder", "state", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    todo, total, unknown = 0, 0.0, 0
    for stage in stages:
        if stage.valid:
            table.add_row(stage.name, stage.job.name[:12], "valid", f"took {measured_seconds(stage.job):.0f}")
            continue
        todo += 1
        estimate = known.get(TRIAL.sub("", stage.name))
        total += estimate or 0.0
        unknown += estimate is None
        shown = "unknown" if estimate is None else f"about {estimate:.0f}"
        table.add_row(stage.name, stage.job.name[:12], f"to do: {stage.reason}", shown)
    console = Console()
    console.print(table, markup=False)
    source = f"the published {scale} reports' machine" if known else f"no published {scale} report to estimate from"
    lines = f"{todo} of {len(stages)} stages to do"
    if todo:
        lines += f", about {total / 60:.0f} min of one slot, {CPU_SLOTS} slots on a CPU ({source})"
    if unknown and known:
        lines += f"; {unknown} without an estimate"
    console.print(lines, markup=False)
