"""What a command would do, in words: each stage with its state and what it needs, sums, and what does not fit."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simlm.commands.estimate import Estimates, estimated, sources
from simlm.costs.needs import GPU_BYTES, described, misfits, size
from simlm.costs.work import Work, total
from simlm.workflow.plan import Planned
from simlm.workflow.resources import CPU_SLOTS, Choices, allocated_nodes

LONG_SECONDS = 36_000
LARGE_BYTES = 8e9
"""Of GPU memory, which is not shown where no stage needs as much."""


def print_plan(
    stages: Sequence[Planned], scale: str, results: Path, choices: Choices, tflops: float | None = None
) -> None:
    """Print every stage as finished or to do, with its seconds and what it needs, then the `summary`.

    Args:
        stages: of a plan.
        scale: whose published reports tell how long stages took.
        results: the results folder.
        choices: what stages compute with.
        tflops: what a GPU reaches in matrix products, where the estimate is for such a one.
    """
    estimates = estimated(stages, scale, choices, tflops)
    works = [estimates.works[stage.job] for stage in stages]
    needs = ["PFLOP", "disk"] if any(work != Work() for work in works) else []
    needs += ["GPU memory"] if any(work.gpu_bytes >= LARGE_BYTES for work in works) else []
    table = Table(box=None)
    for column in ("stage", "folder", "state", "seconds", *needs):
        named = column in ("stage", "folder", "state")
        table.add_column(column, justify="left" if named else "right", no_wrap=column != "stage")
    for stage, work in zip(stages, works, strict=True):
        shown = needs_of(work)
        cells = (state_of(stage), seconds_of(stage, estimates), *(shown[column] for column in needs))
        table.add_row(stage.name, stage.job.name[:12], *cells)
    console = Console()
    console.print(table, markup=False)
    console.print(summary(stages, estimates, scale, results), markup=False, soft_wrap=True)


def state_of(stage: Planned) -> str:
    """Return whether a stage is to do, and why."""
    return "finished" if stage.finished else f"to do: {stage.reason}"


def seconds_of(stage: Planned, estimates: Estimates) -> str:
    """Return the seconds that a stage took or will take; hours, which say so, where it is long."""
    seconds = estimates.seconds.get(stage.job)
    if seconds is None:
        return "unknown"
    said = f"{seconds:.0f}" if seconds < LONG_SECONDS else f"{seconds / 3_600:,.1f} h"
    return f"{'took' if stage.finished else 'about'} {said}"


def needs_of(work: Work) -> dict[str, str]:
    """Return what a stage needs by column: arithmetic, what it keeps on disk, and its GPU memory."""
    flop = work.all_flop / 1e15
    shown = {
        "PFLOP": (flop, f"{flop:,.3g}" if flop < 100 else f"{flop:,.0f}"),
        "disk": (work.disk_bytes, size(work.disk_bytes)),
        "GPU memory": (work.gpu_bytes, size(work.gpu_bytes)),
    }
    return {name: "unknown" if work.unknown else said if amount else "–" for name, (amount, said) in shown.items()}


def summary(stages: Sequence[Planned], estimates: Estimates, scale: str, results: Path) -> str:
    """Return in words how many stages are to do, for how long, where that comes from, and what does not fit.

    The wall time is that of slots which are never idle; the GPUs are those of the estimates' choices.
    """
    todo = [stage for stage in stages if not stage.finished]
    known = [estimates.seconds[stage.job] for stage in todo if stage.job in estimates.seconds]
    line = f"{len(todo)} of {len(stages)} stages to do"
    if known:
        slots, on = _slots(estimates)
        line += f", about {span(sum(known))} of work: at least {span(sum(known) / slots)} with {on}"
    if len(known) < len(todo):
        line += f"; {len(todo) - len(known)} without an estimate"
    lines = [line, *sources(stages, scale, estimates)]
    works = {stage.name: estimates.works[stage.job] for stage in todo}
    if any(work != Work() for work in works.values()):
        lines += [f"to do: {described(total(works.values()))}", *misfits(works, results, gpu_bytes(estimates.choices))]
    return "\n".join(lines)


def _slots(estimates: Estimates) -> tuple[int, str]:
    """Return how many stages run at once, and on what."""
    choices = estimates.choices
    gpus = len(choices.gpus) * allocated_nodes()
    if gpus:
        each = "one stage on each" if choices.processes == 1 else f"{choices.processes} for each stage"
        return gpus, f"{gpus} GPU{'s' if gpus > 1 else ''}, {each}"
    if estimates.throughput is not None and estimates.throughput.stated:
        return 1, "one such GPU"
    return CPU_SLOTS, f"{CPU_SLOTS} slots on a CPU"


def span(seconds: float) -> str:
    """Return a time in minutes, or in hours where there are many."""
    return f"{seconds / 60:.0f} min" if seconds < LONG_SECONDS else f"{seconds / 3_600:,.0f} h"


def gpu_bytes(choices: Choices) -> float:
    """Return the memory of this machine's first GPU, or that of an H100 where stages have none."""
    if not choices.gpus:
        return GPU_BYTES
    import torch  # takes seconds, and a machine without a GPU does without

    return float(torch.cuda.get_device_properties(0).total_memory)
