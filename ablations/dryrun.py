"""What a grid would do, for how long, and what sharing stages saves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ablations.grids import Cell
from simlm.commands.dryrun import seconds_of, state_of, summary
from simlm.commands.estimate import Estimates, estimated
from simlm.workflow.plan import Planned, ancestors
from simlm.workflow.resources import Choices


def print_grid_plan(
    cells: Mapping[Cell, Planned],
    stages: Sequence[Planned],
    scale: str,
    results: Path,
    choices: Choices,
    tflops: float | None = None,
) -> None:
    """Print the cells with their state, the stages that several cells share, an estimate, and what sharing saves."""
    console = Console()
    console.print(_cells(cells), markup=False)
    estimates = estimated(stages, scale, choices, tflops)
    uses = {stage.job: 0 for stage in stages}
    for run in cells.values():
        for stage in ancestors(run):
            uses[stage.job] += 1
    console.print(_shared(stages, uses, estimates), markup=False)
    alone = sum(uses.values())
    console.print(
        f"{len(cells)} cells; {alone} stage runs if each cell were run alone, {len(stages)} with sharing: "
        f"{alone - len(stages)} saved",
        markup=False,
        soft_wrap=True,
    )
    console.print(summary(stages, estimates, scale, results), markup=False, soft_wrap=True)


def _cells(cells: Mapping[Cell, Planned]) -> Table:
    table = Table("grid", "start", "seed", "stage", "state", box=None)
    for cell, run in cells.items():
        todo = sum(not stage.finished for stage in ancestors(run))
        state = f"{todo} of {len(ancestors(run))} stages to do" if todo else "finished"
        table.add_row(cell.grid, cell.start, str(cell.seed), run.job.name[:12], state)
    return table


def _shared(stages: Sequence[Planned], uses: Mapping[Path, int], estimates: Estimates) -> Table:
    table = Table("shared stage", "cells", "state", "seconds", box=None)
    for stage in (one for one in stages if uses[one.job] > 1):
        table.add_row(stage.name, str(uses[stage.job]), state_of(stage), seconds_of(stage, estimates))
    return table
