"""One page for a scale that leads to every report of it: `python -m repro.index --help` lists the options."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.files import ROOT
from reports.page import Cell, Link, Page, Section
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete
from repro.run import finish
from simlm.errors import UserError
from simlm.workflow.sources import sources_digest

DESCRIPTION = """An index of a scale's reports: what each shows, how much of it reproduced, whether older code made it.

Examples:
  python -m repro.index                the reports of mini scale in the results folder
  python -m repro.index --publish      the published ones, beside which the index is put
"""

NAME = "index"
AS_TODAY = "as today"


def run(options: Options) -> None:
    """Read the JSON of every report and write the index."""
    refuse(options, NAME, "rows", "device", "processes", "search", "rehearse", "dry_run")
    folder = ROOT / options.published_in if options.publish else options.folder / options.scale / options.variant
    page = index(folder, options.scale)
    complete(page, NAME, options, StageResults.of([]), 0.0)
    finish(page, NAME, options)


def index(folder: Path, scale: str) -> Page:
    """Return a page with a line for every report in a folder; UserError where there is none."""
    lines = {path.stem: _line(path) for path in sorted(folder.glob("*.json")) if path.stem != NAME}
    if not lines:
        raise UserError(f"{folder}: there is no report to list; run a table first, or python -m repro.all")
    names = sorted(lines, key=lambda name: (name != "claims", not name.startswith("table"), len(name), name))
    return Page(
        title="What reproduced",
        scale=scale,
        introduction=(
            "Every report of this scale. The last column counts the verdicts on the orders of rows that the paper "
            "reports; the page of claims judges all of them together, with one correction for multiple tests. The "
            f'column "code" says "{AS_TODAY}" where the code of every stage below a report is that of the commit in '
            "this page's provenance, and otherwise which stages other code made; comments and docstrings do not count."
        ),
        sections=[Section("Reports", [lines[name] for name in names])],
    )


def _line(path: Path) -> dict[str, Cell]:
    """Return what a report's JSON says of it; UserError where the file is no report."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        verdicts = [claim["verdict"] for claim in report.get("claims", [])]
        verdicts += [row["verdict"] for one in report.get("sections", []) for row in one["rows"] if "verdict" in row]
        commit = str(report["provenance"]["implementation"]["source"].get("commit", "unknown"))[:12]
        return {
            "report": Link(str(report["title"]), f"{path.stem}.md"),
            "command": f"python -m repro.{path.stem}",
            "commit": commit,
            "stages": len(report["stages"]),
            "code": made_by(report["provenance"].get("method", {}).get("stages", {}), commit),
            "verdicts": "; ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common()) or None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: this is no report ({error!r}); delete it or make it again") from None


def made_by(stages: Mapping[str, Mapping[str, Any]], commit: str) -> str | None:
    """Return in words whether the code of today made a report's stages; None for a report that stands on none.

    Args:
        stages: What made each stage, by its name, as `StageResults.identities` says it.
        commit: The report's commit, to be named where no stage has the digest of its code.
    """
    if not stages:
        return None
    known = {name: one for name, one in stages.items() if "sources" in one}
    if not known:
        return f"made before digests were recorded, commit {commit}"
    older = [name for name, one in known.items() if sources_digest(tuple(one["modules"])) != one["sources"]]
    said = [f"older: {_listed(older)}"] if older else []
    if unknown := [name for name in stages if name not in known]:
        said.append(f"made before digests were recorded: {_listed(unknown)}")
    return "; ".join(said) or AS_TODAY


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


if __name__ == "__main__":
    main(run, DESCRIPTION)
