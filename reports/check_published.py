"""Check that published pages are what their JSON renders to: `python -m reports.check_published --help`."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.files import read_report
from reports.model import Report
from reports.render import plots_of, quote, render
from simlm.commands.command_line import parse
from simlm.commands.leave import leave_by
from simlm.errors import UserError
from simlm.files import write_atomically

DESCRIPTION = """Check that every page in reports/<scale>/ is what its JSON renders to, and that its plots are there.

Reports and their stages have to come from committed code. README quotes Table 2 at mini scale between two markers; that
part is checked as well. A page that differs was edited by hand, or a template has changed since: --write renders it
again, for which nothing has to run.

Examples:
  python -m reports.check_published             check all of them
  python -m reports.check_published --write     write the pages again, and what README quotes
"""

QUOTE = re.compile(r"(<!-- report: begin -->\n).*?(<!-- report: end -->)", re.DOTALL)
"""What README quotes of a report, with its markers."""
QUOTED = Path("reports/mini/table2.json")
MEND = "render it again with python -m reports.check_published --write"


@dataclass(frozen=True)
class CheckOptions:
    """What to do with pages that differ."""

    write: bool = False
    """Write the pages again from their JSON, and what README quotes."""


def faults(root: Path, write: bool = False) -> Iterator[str]:
    """Yield a line for every published page of the repository `root` that is not what its JSON renders to.

    With `write` the pages and README's quote are written again first; what that cannot mend is still told.
    """
    folder = root / "reports"
    for path in sorted({path.with_suffix(".json") for kind in ("json", "md") for path in folder.glob(f"*/*.{kind}")}):
        shown = path.relative_to(root)
        try:
            report = read_report(path)
            page, expected = path.with_suffix(".md"), render(report, path.stem)
        except UserError as error:
            yield str(error)
            continue
        except KeyError as error:
            yield f"{shown}: it has no row or figure {error}; publish {path.stem} again"
            continue
        if reason := _uncommitted(report.provenance):
            yield f"{shown}: {reason}; commit the code and publish {path.stem} again"
        if write:
            write_atomically(page, expected.encode())
        if not page.is_file() or page.read_text(encoding="utf-8") != expected:
            yield f"{shown.with_suffix('.md')}: not what {shown.name} renders to; {MEND}"
        drawn = {f"{path.stem}-{plot}.svg" for plot in plots_of(report)}
        there = {plot.name for plot in path.parent.glob(f"{path.stem}-*.svg")}
        for name in sorted(drawn ^ there):
            kind = "is missing" if name in drawn else "is a plot that the report does not have"
            yield f"{shown.with_name(name)}: {kind}; publish {path.stem} again"
    for path in sorted(folder.glob("*/seeds/*.json")):
        if unknown := _unknown(json.loads(path.read_text(encoding="utf-8"))["stages"]):
            yield f"{path.relative_to(root)}: {unknown}; commit the code, delete it and publish claims again"
    yield from _quote_faults(root, write)


def _uncommitted(provenance: dict[str, Any]) -> str | None:
    """Return why a report is not known to be made from committed code alone, or None when it is."""
    source = provenance.get("implementation", {}).get("source", {})
    stages = provenance.get("method", {}).get("stages", {})
    if source.get("dirty") is not False:
        return "it was not made from committed code alone"
    return _unknown({"the report": source} | stages)


def _unknown(made: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return which of the things that were made, by name, is of no commit, or None where all are."""
    unknown = [name for name, one in made.items() if not re.fullmatch("[0-9a-f]{40}", str(one.get("commit")))]
    return f"{unknown[0]} was made from no commit, or from changes to one" if unknown else None


def _quote_faults(root: Path, write: bool) -> Iterator[str]:
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if not QUOTE.search(text):
        return
    try:
        report = read_report(root / QUOTED)
    except UserError as error:
        yield str(error)
        return
    assert isinstance(report, Report), "Table 2 is a table of runs"
    expected = QUOTE.sub(lambda found: f"{found[1]}{quote(report)}\n{found[2]}", text)
    if write:
        write_atomically(readme, expected.encode())
    elif text != expected:
        yield f"README.md: does not quote {QUOTED} as it is; {MEND}"


def main(options: CheckOptions, root: Path = Path()) -> int:
    """Print what is wrong; return 1 where anything is, otherwise 0."""
    found = list(faults(root, options.write))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print("reports: every published page is what its JSON renders to")
    return 1 if found else 0


if __name__ == "__main__":
    leave_by(lambda: sys.exit(main(parse(CheckOptions, DESCRIPTION))))
