"""What a grid would do, for how long, and what sharing stages saves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ablations.grids import Cell, without_seed
from simlm.commands.estimate import measured_seconds, published_seconds
from simlm.stages.plan import Planned, ancestors
from simlm.stages.slots import CPU_SLOTS


def print_grid_plan(cells: Mapping[Cell, Planned], stages: Sequence[Planned], scale: str) -> None:
    """Print the cells with their state, the stages that several cells share, an estimate, and what sharing saves."""
    console = Console()
    console.print(_cells(cells), markup=False)
    estimates = estimated_seconds(stages, scale)
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
    todo = [stage for stage in stages if not stage.valid]
    known = [estimates[stage.job] for stage in todo if stage.job in estimates]
    line = f"{len(todo)} of {len(stages)} stages to do"
    if known:
        line += f", about {sum(known) / 60:.0f} min of one slot, {CPU_SLOTS} slots on a CPU"
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} without an estimate"
    console.print(line, markup=False, soft_wrap=True)


def _cells(cells: Mapping[Cell, Planned]) -> Table:
    table = Table("grid", "start", "seed", "stage", "state", box=None)
    for cell, run in cells.items():
        todo = sum(not stage.valid for stage in ancestors(run))
        state = f"{todo} of {len(ancestors(run))} stages to do" if todo else "valid"
        table.add_row(cell.grid, cell.start, str(cell.seed), run.job.name[:12], state)
    return table


def _shared(stages: Sequence[Planned], uses: Mapping[Path, int], estimates: Mapping[Path, float]) -> Table:
    table = Table("shared stage", "cells", "state", "seconds", box=None)
    for stage in (one for one in stages if uses[one.job] > 1):
        seconds = estimates.get(stage.job)
        shown = "unknown" if seconds is None else f"{'took' if stage.valid else 'about'} {seconds:.0f}"
        state = "valid" if stage.valid else f"to do: {stage.reason}"
        table.add_row(stage.name, str(uses[stage.job]), state, shown)
    return table


def estimated_seconds(stages: Sequence[Planned], scale: str) -> dict[Path, float]:
    """What each stage took, or what one like it took before.

    That is the same stage with another seed, in the results folder before the published reports, or else the mean over
    the stages of its kind. A stage whose kind was never measured has no estimate.
    """
    measured = {stage.job: measured_seconds(stage.job) for stage in stages if stage.valid}
    by_name = published_seconds(scale)
    by_name |= {without_seed(stage.name): measured[stage.job] for stage in stages if stage.job in measured}
    named = {stage.job: by_name[name] for stage in stages if (name := without_seed(stage.name)) in by_name} | measured
    kinds: dict[str, list[float]] = {}
    for job, seconds in named.items():
        kinds.setdefault(job.parent.name, []).append(seconds)
    by_kind = {kind: sum(seconds) / len(seconds) for kind, seconds in kinds.items()}
    return {stage.job: by_kind[kind] for stage in stages if (kind := stage.job.parent.name) in by_kind} | named
