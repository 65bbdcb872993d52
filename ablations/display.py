"""The live progress table of a grid."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from ablations.grids import Cell
from simlm.commands.display import TerminalDisplay
from simlm.workflow.plan import Planned, ancestors
from simlm.workflow.scheduler import StageStatus


class GridDisplay(TerminalDisplay):
    """Every cell's state by start and seed, above the bars of the stages that run; elsewhere lines, as for tables."""

    def __init__(self, cells: Mapping[Cell, Planned]) -> None:
        super().__init__()
        self.jobs = {cell: [stage.job for stage in ancestors(run)] for cell, run in cells.items()}
        self.seen: dict[Path, str] = {}

    def view(self, moments: list[StageStatus]) -> RenderableType:
        """The table and the bars."""
        self.seen |= {moment.planned.job: moment.state for moment in moments}
        seeds = sorted({cell.seed for cell in self.jobs})
        table = Table(box=None)
        for column in ("grid", "start", *(f"seed {seed}" for seed in seeds)):
            table.add_column(column)
        for grid, start in dict.fromkeys((cell.grid, cell.start) for cell in self.jobs):
            table.add_row(grid, start, *(self.state(Cell(grid, start, seed)) for seed in seeds))
        return Group(table, super().view(moments))

    def state(self, cell: Cell) -> str:
        """ "done", "failed", or how many of the cell's stages are done."""
        states = [self.seen.get(job, "done") for job in self.jobs[cell]]
        if "failed" in states:
            return "[red]failed[/]"
        done = states.count("done")
        if done == len(states):
            return "[green]done[/]"
        return f"{'[bold]' if 'running' in states else '[dim]'}{done}/{len(states)}[/]"
