"""What a run would do, for how long, and what it needs."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from simlm.commands.estimate import estimated, summary
from simlm.commands.listing import needs_of, needs_shown, seconds_of, state_of
from simlm.workflow.plan import Planned


def print_plan(stages: list[Planned], scale: str, results: Path, tflops: float | None = None) -> None:
    """List every stage as valid or to do with an estimate in seconds and its needs; the sums, and what does not fit.

    ``tflops`` is what a GPU reaches in matrix products, where the estimate shall be for such a one.
    """
    estimates = estimated(stages, scale, tflops)
    needs = needs_shown([estimates.works[stage.job] for stage in stages])
    table = Table(box=None)
    for column in ("stage", "folder", "state", "seconds", *needs):
        named = column in ("stage", "folder", "state")
        table.add_column(column, justify="left" if named else "right", no_wrap=column != "stage")
    for stage in stages:
        shown = needs_of(estimates.works[stage.job])
        cells = (state_of(stage), seconds_of(stage, estimates), *(shown[column] for column in needs))
        table.add_row(stage.name, stage.job.name[:12], *cells)
    console = Console()
    console.print(table, markup=False)
    console.print(summary(stages, estimates, scale, results), markup=False, soft_wrap=True)
