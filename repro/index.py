"""One page for a scale that leads to every report of it: `python -m repro.index --help` lists the options."""

import json
from collections import Counter
from pathlib import Path

from reports.files import ROOT
from reports.page import Cell, Link, Page, Section
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete
from repro.run import finish
from simlm.errors import UserError

DESCRIPTION = """An index of the reports in the results folder: what each shows and how much of it reproduced.

Examples:
  python -m repro.index                the reports of mini scale
  python -m repro.index --publish      the same, copied beside the published reports
"""

NAME = "index"


def run(options: Options) -> None:
    """Read every report's twin and write the index."""
    refuse(options, NAME, "rows", "device", "processes", "search", "dry_run")
    folder = options.results / options.scale / options.variant
    if options.publish:
        lacking = [path.stem for path in folder.glob("*.md") if not (ROOT / options.scale / path.name).exists()]
        if set(lacking) - {NAME}:
            raise UserError(f"--publish: {lacking[0]} is not published yet; publish every report before the index")
    page = index(folder, options.scale)
    complete(page, NAME, options, StageResults.of([]), 0.0)
    finish(page, NAME, options)


def index(folder: Path, scale: str) -> Page:
    """A line for every report in a folder; UserError where there is none."""
    lines = {path.stem: _line(path) for path in sorted(folder.glob("*.json")) if path.stem != NAME}
    if not lines:
        raise UserError(f"{folder}: there is no report to list; run a table first, or python -m repro.all")
    names = sorted(lines, key=lambda name: (name != "claims", not name.startswith("table"), len(name), name))
    return Page(
        title="What reproduced",
        scale=scale,
        introduction=(
            "Every report of this scale. The last column counts the verdicts on the orders of rows that the paper "
            "reports; the page of claims judges all of them together, with one correction for multiple tests."
        ),
        sections=[Section("Reports", [lines[name] for name in names])],
    )


def _line(path: Path) -> dict[str, Cell]:
    """What a report's twin says of it; UserError where the file is none."""
    try:
        twin = json.loads(path.read_text(encoding="utf-8"))
        verdicts = [claim["verdict"] for claim in twin.get("claims", [])]
        verdicts += [row["verdict"] for one in twin.get("sections", []) for row in one["rows"] if "verdict" in row]
        return {
            "report": Link(str(twin["title"]), f"{path.stem}.md"),
            "command": f"python -m repro.{path.stem}",
            "commit": str(twin["provenance"]["implementation"]["source"].get("commit", "unknown"))[:12],
            "stages": len(twin["stages"]),
            "verdicts": "; ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common()) or None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: this is no report ({error!r}); delete it or make it again") from None


if __name__ == "__main__":
    main(run, DESCRIPTION)
