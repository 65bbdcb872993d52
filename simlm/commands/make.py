"""From options that were checked to finished stages."""

from pathlib import Path
from typing import Any

from simlm.commands.display import TerminalDisplay
from simlm.commands.machine import announce
from simlm.errors import UserError
from simlm.stages.driver import run
from simlm.stages.plan import Build, Planned


def make(build: Build, results: Path, display: TerminalDisplay, keep_going: bool = False) -> tuple[list[Planned], Any]:
    """Run every stage of ``build`` that is not valid, as the driver's ``run`` does, below a folder that may be new."""
    announce()
    make_folder(results)
    with display:
        return run(build, results.absolute(), display, keep_going)


def make_folder(results: Path) -> None:
    """The results folder, where it is not there yet."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results {results}: {error.strerror}; choose another folder") from None
