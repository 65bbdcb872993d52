"""One page for a scale that leads to every report of it: `python -m repro.index --help` lists the options."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from reports.page import Cell, Link, Page, Section
from repro.command import Options, main, refuse
from repro.origin import Made, complete
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
    refuse(options, NAME, "rows", "device", "dry_run")
    page = index(options.results / options.scale / options.variant, options.scale)
    complete(page, NAME, options, Made.of([]), 0.0)
    finish(page, NAME, options)


def index(folder: Path, scale: str) -> Page:
    """A line for every report in a folder; UserError where there is none."""
    twins = {path.stem: _twin(path) for path in sorted(folder.glob("*.json")) if path.stem != NAME}
    if not twins:
        raise UserError(f"{folder}: there is no report to list; run a table first, or python -m repro.all")
    names = sorted(twins, key=lambda name: (name != "claims", not name.startswith("table"), len(name), name))
    return Page(
        title="What reproduced",
        scale=scale,
        introduction=(
            "Every report of this scale. The last column counts the verdicts on the orders of rows that the paper "
            "reports; the page of claims judges all of them together, with one correction for multiple tests."
        ),
        sections=[Section("Reports", [_line(name, twins[name]) for name in names])],
    )


def _twin(path: Path) -> dict[str, Any]:
    try:
        twin = json.loads(path.read_text(encoding="utf-8"))
        return {"title": str(twin["title"])} | twin
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: this is no report ({error}); delete it or make it again") from None


def _line(name: str, twin: dict[str, Any]) -> dict[str, Cell]:
    verdicts = [claim["verdict"] for claim in twin.get("claims", [])]
    verdicts += [row["verdict"] for section in twin.get("sections", []) for row in section["rows"] if "verdict" in row]
    source = twin.get("provenance", {}).get("implementation", {}).get("source", {})
    return {
        "report": Link(twin["title"], f"{name}.md"),
        "command": f"python -m repro.{name}",
        "commit": str(source.get("commit", "unknown"))[:12],
        "stages": len(twin.get("stages", [])),
        "verdicts": "; ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common()) or None,
    }


if __name__ == "__main__":
    main(run, DESCRIPTION)
