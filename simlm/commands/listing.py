"""Stages in words, for lists of what a command would do."""

from collections.abc import Sequence

from simlm.commands.estimate import Estimates
from simlm.costs.needs import size
from simlm.costs.work import Work
from simlm.workflow.plan import Planned

LONG_SECONDS = 36_000
LARGE_BYTES = 8e9
"""Of GPU memory, which is not shown where no stage needs as much."""


def state_of(stage: Planned) -> str:
    """Whether it is to do, and why."""
    return "valid" if stage.valid else f"to do: {stage.reason}"


def seconds_of(stage: Planned, estimates: Estimates) -> str:
    """What it took or will take; hours, which say so, where it is long."""
    seconds = estimates.seconds.get(stage.job)
    if seconds is None:
        return "unknown"
    return f"{'took' if stage.valid else 'about'} {hours(seconds)}"


def hours(seconds: float) -> str:
    """Seconds, or hours where there are many."""
    return f"{seconds:.0f}" if seconds < LONG_SECONDS else f"{seconds / 3_600:,.1f} h"


def needs_shown(works: Sequence[Work]) -> list[str]:
    """The columns of needs that are worth showing for these stages."""
    columns = ["PFLOP", "disk"] if any(work != Work() for work in works) else []
    large = any(work.memory is not None and work.memory.total >= LARGE_BYTES for work in works)
    return [*columns, *(["GPU memory"] if large else [])]


def needs_of(work: Work) -> dict[str, str]:
    """The columns of a stage's needs: arithmetic, what stays on disk, and GPU memory with the whole batch at once."""
    flop = sum(work.flop.values()) / 1e15
    shown = {
        "PFLOP": f"{flop:,.3g}" if flop < 100 else f"{flop:,.0f}",
        "disk": size(work.kept_bytes),
        "GPU memory": size(work.memory.total) if work.memory else "",
    }
    there = {"PFLOP": flop > 0, "disk": work.kept_bytes > 0, "GPU memory": work.memory is not None}
    return {name: (value if there[name] else "–") if work.known else "unknown" for name, value in shown.items()}
