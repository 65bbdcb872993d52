"""What the commands of all tables share: options, exit statuses, and the display of a run."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.live import Live
from rich.table import Table

from repro.cells import NEGATIVES
from simlm.errors import UserError
from simlm.scales import NAMES
from simlm.stages.driver import Moment, StageFailed
from simlm.stages.slots import DEVICE

FREE_BYTES = 2 << 30
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Options:
    """How to run a table."""

    scale: str = "mini"
    """smoke (seconds, for tests) or mini (InsuranceQA on two cores in minutes)."""
    rows: tuple[str, ...] = ()
    """Keys of the rows to measure, e.g. --rows bm25 simlm; all of them when left out."""
    negatives: str = "bm25"
    """Where Retriever1's hard negatives come from: bm25 (our own run) or package (the collection's lists)."""
    seed: int = 0
    """Added to every seed of the scale; 0 is the published run."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes a GPU where there is one."""
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    """Folder of stages, runs and reports. What is valid there is reused."""
    publish: bool = False
    """Also copy the outcome into the repository, a table's report to reports/<scale>/."""
    dry_run: bool = False
    """List every stage as valid or to do, with an estimate of its time, and stop."""

    @property
    def variant(self) -> str:
        """What sets this run apart from the one that is published, as a folder's name; "" for nothing."""
        parts = [f"seed-{self.seed}"] if self.seed else []
        parts += [f"negatives-{self.negatives}"] if self.negatives != "bm25" else []
        parts += ["rows-" + "-".join(self.rows)] if self.rows else []
        return "_".join(parts)


def main(table: Callable[[Options], None], description: str) -> None:
    """Parse the command line, run a table, and leave with 0, 1 (a stage failed), 2 (user's mistake) or 130 (Ctrl-C)."""
    options = tyro.cli(Options, description=description)
    try:
        check(options)
        table(options)
    except UserError as error:
        sys.exit(_say(f"error: {error}", 2))
    except StageFailed as error:
        sys.exit(_say(f"failed: {error}", 1))
    except KeyboardInterrupt:
        sys.exit(_say("stopped; the same command goes on from the last checkpoints", 130))


def _say(line: str, status: int) -> int:
    print(" ".join(line.splitlines()), file=sys.stderr)
    return status


def check(options: Options) -> None:
    """Refuse what cannot work, before anything is written."""
    if options.scale not in NAMES:
        raise UserError(f"unknown scale {options.scale!r}: choose one of {', '.join(NAMES)}")
    if options.device not in DEVICES:
        raise UserError(f"unknown device {options.device!r}: choose one of {', '.join(DEVICES)}")
    if options.negatives not in NEGATIVES:
        raise UserError(f"unknown source of negatives {options.negatives!r}: choose one of {', '.join(NEGATIVES)}")
    if options.publish and options.variant:
        raise UserError("--publish is for the whole table: leave out --rows, --seed and --negatives")
    if options.seed < 0:
        raise UserError(f"--seed {options.seed}: choose 0 or a positive number")
    os.environ[DEVICE] = options.device
    if options.device == "cuda":
        from simlm.stages.slots import chosen_device

        chosen_device()
    _check_home()
    _check_results(options.results)


def refuse(options: Options, command: str, *names: str) -> None:
    """UserError when one of these options is given, none of which changes what a command does."""
    for name in names:
        if getattr(options, name) != getattr(Options(), name):
            raise UserError(f"--{name} changes nothing in {command}: leave it out")


def _check_home() -> None:
    """Some libraries write below HOME; where that is impossible, say how to mend it."""
    home = Path(os.environ.get("HOME") or "/")
    if not os.access(home, os.W_OK):
        raise UserError(f"HOME ({home}) cannot be written: set HOME to a folder of yours and run again")


def _check_results(results: Path) -> None:
    # os.path's test takes a folder that may not be looked into for a missing one; Path's would raise.
    existing = next(folder for folder in (results.absolute(), *results.absolute().parents) if os.path.exists(folder))
    if not existing.is_dir():
        raise UserError(f"--results {results}: {existing} is a file; choose a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"--results {results}: cannot write to {existing} ({error.strerror}); choose another") from None
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise UserError(
            f"--results {results}: {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.1f} GB needed; "
            "free some space or choose another folder"
        )


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

    def show(self, moments: list[Moment]) -> None:
        if self.console.is_terminal:
            self.live.update(self._table(moments))
        for moment in moments:
            before = self.states.get(moment.planned.job)
            self.states[moment.planned.job] = moment.state
            if moment.state != before and moment.state != "waiting":
                done = sum(one.state == "done" for one in moments)
                clock = _clock(time.monotonic() - self.start)
                self.say(f"{clock}  {moment.planned.name}: {moment.state}  ({done}/{len(moments)} stages done)")

    def _table(self, moments: list[Moment]) -> Table:
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
