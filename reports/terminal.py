"""Print a report in the terminal, in short."""

import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.markdown import NONE, number, signed
from reports.model import Report
from reports.page import Page, Section, shown


def print_report(report: Report | Page, console: Console | None = None) -> None:
    """Print a table of runs, or the tables of a page."""
    console = console or Console()
    if isinstance(report, Report):
        _print_runs(report, console)
        return
    console.print(Text(f"{report.title} ({report.scale})"))
    for section in report.sections:
        console.print(_lines(section))


def _lines(section: Section) -> Table:
    table = Table(title=Text(section.heading))
    for head in section.heads:
        table.add_column(Text(head), justify="right" if section.is_numeric(head) else "left")
    for row in section.rows:
        table.add_row(*(Text(shown(row[head])) for head in section.heads))
    return table


def _print_runs(report: Report, console: Console) -> None:
    """Print the measured rows beside the paper's figures, their differences, and the verdicts on the paper's orders."""
    for section in report.by_group():
        _print_section(section, console)
    if report.marks:
        console.print(_marks(report))
    for claim in report.claims:
        higher, lower = report.row(claim.higher).label, report.row(claim.lower).label
        difference = signed(claim.comparison.difference)
        console.print(f"{claim.verdict}: {higher} above {lower} ({claim.source}), here {difference}", markup=False)


def _print_section(report: Report, console: Console) -> None:
    place = f"{report.collection.name} {report.collection.split}, {report.scale}"
    first = next(iter(report.columns), None)
    order = "" if report.marks or report.papers_own else ", for order and gaps only"
    paper = f"; paper: {first.place}, percent{order}" if first else "; the paper prints no figures"
    table = Table(
        title=Text(f"{report.title} ({report.scale})"),
        caption=Text(f"measured on {place}{paper}"),
    )
    table.add_column("row", min_width=26)
    for measure in report.measures:
        # "RR(rel=2)@10" in two lines: of such heads four would not fit 80 columns.
        table.add_column(re.sub(r"\((.*)\)(.*)", r"\2\n\1", measure), justify="right", no_wrap=True)
    if first:
        table.add_column("paper", justify="right", style="dim")
    for row in report.measured_rows():
        cells = [number((row.measured or {})[measure].mean) for measure in report.measures]
        cells += [number((row.published or {}).get(first.key), 1)] if first else []
        table.add_row(Text(row.label), *cells)
    console.print(table)
    if report.baselines:
        console.print(_differences(report))


def _marks(report: Report) -> Table:
    """Return measured beside published figures."""
    fair = "" if report.comparable else "; another collection than the published figures are of"
    table = Table(title=Text(f"measured beside published, in percent{fair}"))
    for head in ("row", "figure", "measured", "published", "mark"):
        table.add_column(head, justify="right" if head in ("measured", "published") else "left")
    for one in report.marks:
        cells = [number(one.measured, 1), number(one.published, 1), one.verdict]
        table.add_row(Text(report.row(one.row).label), Text(report.head_of(one)), *cells)
    return table


def _differences(report: Report) -> Table:
    """Return the differences from the baselines: beside the measures they would not fit 80 columns.

    A star marks what is significant after Holm's correction.
    """
    measure = report.measures[0]
    table = Table(title=Text(f"differences in {measure}; * significant, Holm-corrected p < 0.05"))
    table.add_column("row", min_width=26)
    for key in report.baselines:
        table.add_column(Text(f"− {key}"), justify="right", no_wrap=True)
    for row in report.measured_rows():
        found = [report.comparison(row.key, key, measure) for key in report.baselines]
        table.add_row(
            Text(row.label),
            *(NONE if one is None else signed(one.difference, 3) + "*" * one.significant for one in found),
        )
    return table
