"""What a run would do, and for how long."""

import json
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simlm.stages.manifest import read_manifest
from simlm.stages.plan import Planned
from simlm.stages.slots import CPU_SLOTS

TRIAL = re.compile(r", (rate|alpha) [0-9.e-]+")
"""What the name of a trial's stage has more than that of the table's."""
REPORTS = Path(__file__).resolve().parents[1] / "reports"


def print_plan(stages: list[Planned], scale: str) -> None:
    """List every stage as valid or to do with an estimate in seconds, and the sum."""
    known = published_seconds(scale)
    table = Table(box=None)
    for column in ("stage", "folder", "state", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    todo, total, unknown = 0, 0.0, 0
    for stage in stages:
        if stage.valid:
            manifest = read_manifest(stage.job) or {}
            took = sum(attempt["seconds"] for attempt in manifest.get("attempts", []))
            table.add_row(stage.name, stage.job.name[:12], "valid", f"took {took:.0f}")
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


def published_seconds(scale: str) -> dict[str, float]:
    """What each stage took in the published reports of a scale, by its name; {} when there are none."""
    seconds: dict[str, float] = {}
    for path in sorted((REPORTS / scale).glob("*.json")):
        try:
            stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
            seconds |= {stage["name"]: float(stage["seconds"]) for stage in stages}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return seconds
