"""What a grid came to: grid.json, grid.csv, and the terminal's table of means over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ablations.grids import Cell
from simlm.files import atomic_file
from simlm.workflow.manifest import read_manifest, write_json
from simlm.workflow.plan import Planned

SPLIT = "test "
CELL = ["grid", "start", "seed"]


def outcomes(cells: Mapping[Cell, Planned]) -> list[dict[str, Any]]:
    """Of each cell its run's stage, how that ended, and the means of its measures over the test queries."""
    found = []
    for cell, run in cells.items():
        one: dict[str, Any] = {"grid": cell.grid, "start": cell.start, "seed": cell.seed, "stage": run.job.name}
        if run.failure is None:
            numbers = (read_manifest(run.job) or {})["numbers"]
            measures = {name.removeprefix(SPLIT): mean for name, mean in numbers.items() if name.startswith(SPLIT)}
            found.append(one | {"state": "done", "measures": measures})
        else:
            found.append(one | {"state": "failed", "failure": str(run.failure)})
    return found


def summary(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each grid's start the mean and the sample standard deviation over its finished seeds, by measure.

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
    """Write grid.json and grid.csv, a line for each cell, with empty measures where it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    page, lines = folder / "grid.json", folder / "grid.csv"
    write_json(page, {"scale": scale, "cells": found, "summary": summary(found)})
    frame = pd.DataFrame([{**one, **one.get("measures", {})} for one in found]).drop(
        columns=["measures", "failure"], errors="ignore"
    )
    with atomic_file(lines) as partial:
        frame[[*CELL, "state", "stage", *frame.columns.difference([*CELL, "state", "stage"], sort=False)]].to_csv(
            partial, index=False
        )
    return [page, lines]


def print_outcomes(found: Sequence[Mapping[str, Any]]) -> None:
    """Print mean ± standard deviation over seeds of each start, then the cells that failed, each with its log."""
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
