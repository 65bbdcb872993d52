"""How a measurement ends: its exit status, its two files, JSON and a page, and what both say of their origin."""

import argparse
import datetime
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simlm.commands.origin import source_state
from simlm.errors import UserError
from simlm.stopping import exit_status, stoppable

ROOT = Path(__file__).parents[1]


def origin(command: str, commit: str | None = None) -> dict[str, Any]:
    """Return the command, the day and the code's commit: `commit` for a copy of the code without its history."""
    source = source_state(ROOT)
    if source["commit"] is None and commit is not None:
        source = {"commit": commit, "dirty": None}
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "provenance": {"implementation": {"source": source}},
    }


def made_by(report: dict[str, Any]) -> str:
    """Return the origin in a sentence."""
    source = report["provenance"]["implementation"]["source"]
    commit = f"`{source['commit']}`" if source["commit"] else "unknown"
    ending = ", with uncommitted changes." if source["dirty"] else "."
    return f"Measured by `{report['command']}` on {report['date']}, commit {commit}{ending}"


def ended(run: Callable[[argparse.Namespace], None], options: argparse.Namespace, left: str) -> int:
    """Run a command, and return its exit status: 0, 2 for a user's mistake, or that of a command that was stopped.

    Each but 0 comes with one line.

    left: what there is after Ctrl-C, in words.
    """
    try:
        with stoppable():
            run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"stopped; {left}", file=sys.stderr)
        return exit_status(stopped)
    return 0


def make_out(folder: Path) -> None:
    """Make the folder of --out; UserError where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror}; choose another folder") from None


def write(name: str, report: dict[str, Any], page: str, folder: Path, publish: bool) -> None:
    """Write the files of that name into a folder and, to publish them, into reports/."""
    files = {f"{name}.json": json.dumps(report, indent=2) + "\n", f"{name}.md": page}
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
        if publish:
            shutil.copyfile(folder / file, ROOT / "reports" / file)
    print(f"wrote {folder / name}.md and {name}.json")
