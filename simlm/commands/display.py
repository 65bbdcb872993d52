"""The display of a run."""

import time
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from simlm.workflow.scheduler import StageStatus


class TerminalDisplay:
    """Live bars on a terminal; elsewhere one line whenever a stage starts or ends."""

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

    def show(self, moments: list[StageStatus]) -> None:
        if self.console.is_terminal:
            self.live.update(self.view(moments))
        # A stage that starts can look as if it waited once more: its line is not said again.
        for moment in (one for one in moments if one.state != "waiting"):
            before = self.states.get(moment.planned.job)
            self.states[moment.planned.job] = moment.state
            if moment.state != before:
                done = sum(one.state == "done" for one in moments)
                clock = _clock(time.monotonic() - self.start)
                self.say(f"{clock}  {moment.planned.name}: {moment.state}  ({done}/{len(moments)} stages done)")

    def view(self, moments: list[StageStatus]) -> RenderableType:
        """What a terminal shows: a bar for each stage that runs."""
        table = Table(box=None, show_header=False)
        for moment in (one for one in moments if one.state == "running"):
            share = moment.done / moment.total if moment.total else 0.0
            bar = "━" * round(30 * share)
            count = f"{moment.done}/{moment.total}" if moment.total else ""
            table.add_row(
                moment.planned.name, f"[green]{bar}[/][dim]{'━' * (30 - len(bar))}[/]", moment.description, count
            )
        return table


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"
