"""What a run would do, and for how long."""

from rich.console import Console
from rich.table import Table

from simlm.commands.estimate import estimated_seconds, summary
from simlm.stages.plan import Planned


def print_plan(stages: list[Planned], scale: str) -> None:
    """List every stage as valid or to do with an estimate in seconds, and the sum."""
    estimates = estimated_seconds(stages, scale)
    table = Table(box=None)
    for column in ("stage", "folder", "state", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for stage in stages:
        seconds = estimates.get(stage.job)
        shown = "unknown" if seconds is None else f"{'took' if stage.valid else 'about'} {seconds:.0f}"
        state = "valid" if stage.valid else f"to do: {stage.reason}"
        table.add_row(stage.name, stage.job.name[:12], state, shown)
    console = Console()
    console.print(table, markup=False)
    console.print(summary(stages, estimates, scale), markup=False, soft_wrap=True)
