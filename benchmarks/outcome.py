"""What measurements share: their options, and the two files that they leave, JSON and a page."""

import argparse
import datetime
import json
from pathlib import Path
from typing import Any, NoReturn

from simlm.commands.origin import source_state
from simlm.errors import UserError
from simlm.files import write_together
from simlm.paths import shown, whole

ROOT = Path(__file__).parents[1]


class Parser(argparse.ArgumentParser):
    """The options that all measurements have; argparse, as machines with a GPU often lack tyro."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        kind = argparse.RawDescriptionHelpFormatter
        super().__init__(command, description=description, epilog=examples, formatter_class=kind, allow_abbrev=False)
        folder = Path("results") / command.rpartition(".")[2]
        self.add_argument("--out", type=Path, default=folder, metavar="FOLDER", help="where files go")
        self.add_argument("--publish", action="store_true", help="also copy the files to reports/")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists every option")


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


def make_out(folder: Path) -> Path:
    """Make the folder of --out and return its whole path; UserError where that is impossible."""
    path = whole("--out", folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror}; choose another folder") from None
    return path


def write(name: str, report: dict[str, Any], page: str, folder: Path, publish: bool) -> None:
    """Write the files of that name into a folder and, to publish them, into reports/."""
    files = {f"{name}.json": json.dumps(report, indent=2) + "\n", f"{name}.md": page}
    for place in [folder, *([ROOT / "reports"] if publish else [])]:
        write_together({place / file: text.encode() for file, text in files.items()})
    print(f"wrote {shown(folder / name)}.md and {name}.json")
