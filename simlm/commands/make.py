"""From options that were checked to finished stages."""

from pathlib import Path
from typing import Any

from simlm.commands.display import TerminalDisplay
from simlm.errors import UserError
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Build, Planned
from simlm.workflow.scheduler import run


def make(
    build: Build,
    results: Path,
    display: TerminalDisplay,
    launcher: Launcher,
    keep_going: bool = False,
) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` that is not valid, as the scheduler does, below a folder that may be new."""
    make_folder(results)
    with display:
        return run(build, results.absolute(), display, launcher, keep_going)


def make_folder(results: Path) -> None:
    """Make the results folder; UserError where that is impossible."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results {results}: {error.strerror}; choose another folder") from None
