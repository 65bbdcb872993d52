"""What a grid shows while it runs and at its end: live table, grid.json, grid.csv, and means over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table

from ablations.grids import Cell
from simlm.commands.run_stages import TerminalDisplay
from simlm.files import as_json, write_together
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import Planned, ancestors
from simlm.workflow.scheduler import StageStatus

TEST = "test "
"""How the names of measures over the test queries begin in a manifest."""
CELL_COLUMNS = ["grid", "start", "seed"]


class GridDisplay(TerminalDisplay):
    """Show the state of every cell, above the progress of the running stages; without a terminal print lines."""

    def __init__(self, cells: Mapping[Cell, Planned]) -> None:
        super().__init__()
        self.jobs = {cell: [stage.job for stage in ancestors(run)] for cell, run in cells.items()}
        self.seen: dict[Path, str] = {}

    def view(self, moments: list[StageStatus]) -> RenderableType:
        """Return the table of cells and the progress bars."""
        self.seen |= {moment.planned.job: moment.state for moment in moments}
        seeds = sorted({cell.seed for cell in self.jobs})
        table = Table(box=None)
        for column in ("grid", "start", *(f"seed {seed}" for seed in seeds)):
            table.add_column(column)
        for grid, start in dict.fromkeys((cell.grid, cell.start) for cell in self.jobs):
            table.add_row(grid, start, *(self.state(Cell(grid, start, seed)) for seed in seeds))
        return Group(table, super().view(moments))

    def state(self, cell: Cell) -> str:
        """Return "done", "failed", or how many of the cell's stages are done."""
        states = [self.seen.get(job, "done") for job in self.jobs[cell]]
        if "failed" in states:
            return "[red]failed[/]"
        done = states.count("done")
        if done == len(states):
            return "[green]done[/]"
        return f"{'[bold]' if 'running' in states else '[dim]'}{done}/{len(states)}[/]"


def outcomes(cells: Mapping[Cell, Planned]) -> list[dict[str, Any]]:
    """Return the stage of each cell's run, how it ended, and the means of its measures over the test queries."""
    found = []
    for cell, run in cells.items():
        one: dict[str, Any] = {"grid": cell.grid, "start": cell.start, "seed": cell.seed, "stage": run.job.name}
        if run.failure is None:
            numbers = (read_manifest(run.job) or {})["numbers"]
            measures = {name.removeprefix(TEST): mean for name, mean in numbers.items() if name.startswith(TEST)}
            found.append(one | {"state": "done", "measures": measures})
        else:
            found.append(one | {"state": "failed", "failure": str(run.failure)})
    return found


def summary(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and sample standard deviation of each start over its finished seeds, by measure.

    The deviation of a single seed is None.
    """
    rows = []
    for grid, start in dict.fromkeys((one["grid"], one["start"]) for one in found):
        done = [one for one in found if (one["grid"], one["start"], one["state"]) == (grid, start, "done")]
        frame = pd.DataFrame([one["measures"] for one in done])
        measures = {
            name: {"mean": float(values.mean()), "deviation": float(values.std()) if len(values) > 1 else None}
            for name, values in frame.items()
        }
        rows.append({"grid": grid, "start": start, "seeds": len(done), "measures": measures})
    return rows


def write_outcomes(found: Sequence[Mapping[str, Any]], scale: str, folder: Path) -> list[Path]:
    """Write grid.json and grid.csv, with one line a cell; a cell that failed has empty measures."""
    page, lines = folder / "grid.json", folder / "grid.csv"
    frame = pd.DataFrame([{**one, **one.get("measures", {})} for one in found]).drop(
        columns=["measures", "failure"], errors="ignore"
    )
    first = [*CELL_COLUMNS, "state", "stage"]
    table = frame[[*first, *frame.columns.difference(first, sort=False)]].to_csv(index=False)
    content = {"scale": scale, "cells": found, "summary": summary(found)}
    write_together({page: as_json(content), lines: table.encode()})
    return [page, lines]


def print_outcomes(found: Sequence[Mapping[str, Any]]) -> None:
    """Print mean ± standard deviation over seeds of each start, then the cells that failed with their logs."""
    console = Console()
    rows = summary(found)
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    table = Table("grid", "start", "seeds", *names, box=None)
    for row in rows:
        table.add_row(
            row["grid"], row["start"], str(row["seeds"]), *(_shown(row["measures"].get(name)) for name in names)
        )
    console.print(table, markup=False)
    for one in (one for one in found if one["state"] == "failed"):
        line = f"failed: {Cell(one['grid'], one['start'], one['seed'])}: {one['failure']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _shown(value: Mapping[str, float | None] | None) -> str:
    if value is None:
        return "–"
    return f"{value['mean']:.3f}" + ("" if value["deviation"] is None else f" ± {value['deviation']:.3f}")
