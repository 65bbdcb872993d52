"""Run stages, and show them in the terminal."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from simlm.errors import UserError
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Build, Planned
from simlm.workflow.scheduler import StageStatus, run


class TerminalDisplay:
    """Shows live bars on a terminal, and elsewhere one line whenever a stage starts or ends."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)
        self.start = time.monotonic()
        self.states: dict[Path, str] = {}

    def __enter__(self) -> "TerminalDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, stages: list[StageStatus]) -> None:
        if self.console.is_terminal:
            self.live.update(self.view(stages))
        # A stage that starts can look as if it waited once more: its line is not said again.
        for status in (one for one in stages if one.state != "waiting"):
            before = self.states.get(status.planned.job)
            self.states[status.planned.job] = status.state
            if status.state != before:
                done = sum(one.state == "done" for one in stages)
                clock = _clock(time.monotonic() - self.start)
                self.say(f"{clock}  {status.planned.name}: {status.state}  ({done}/{len(stages)} stages done)")

    def view(self, stages: list[StageStatus]) -> RenderableType:
        """Return what a terminal shows: a bar for each stage that runs."""
        table = Table(box=None, show_header=False)
        for status in (one for one in stages if one.state == "running"):
            share = status.done / status.total if status.total else 0.0
            bar = "━" * round(30 * share)
            count = f"{status.done}/{status.total}" if status.total else ""
            table.add_row(
                status.planned.name, f"[green]{bar}[/][dim]{'━' * (30 - len(bar))}[/]", status.description, count
            )
        return table


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"


def run_stages(
    build: Build, results: Path, display: TerminalDisplay, launcher: Launcher, keep_going: bool = False
) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` that is not finished, as the scheduler's ``run`` does; the folder may be new."""
    make_folder(results)
    with display:
        return run(build, results, display, launcher, keep_going)


def make_folder(results: Path) -> None:
    """Make the results folder; UserError where that is impossible."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results {results}: {error.strerror}; choose another folder") from None
