"""The table as the command prints it at the end."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.markdown import NONE, number, signed
from reports.model import Report


def print_report(report: Report, console: Console | None = None) -> None:
    """Prints the measured rows beside the paper's figures, then the verdicts on the paper's orders.

    A star marks a difference in the first measure that is significant after Holm's correction.
    """
    console = console or Console()
    place = f"{report.collection.name} {report.collection.split}, {report.scale}"
    table = Table(
        title=Text(f"{report.title} ({report.scale})"),
        caption=Text(f"measured on {place}; paper: MS MARCO dev, percent, for order and gaps only"),
    )
    table.add_column("row", min_width=26)
    for measure in report.measures:
        table.add_column(measure, justify="right", no_wrap=True)
    for key in report.baselines:
        table.add_column(Text(f"Δ {key}"), justify="right", no_wrap=True)
    table.add_column("paper", justify="right", style="dim")
    for row in report.measured_rows():
        cells = [number((row.measured or {})[measure].mean) for measure in report.measures]
        for key in report.baselines:
            found = report.comparison(row.key, key, report.measures[0])
            cells.append(NONE if found is None else signed(found.difference, 3) + "*" * found.significant)
        table.add_row(Text(row.label), *cells, number((row.published or {}).get("mrr10"), 1))
    console.print(table)
    for claim in report.claims:
        higher, lower = report.row(claim.higher).label, report.row(claim.lower).label
        difference = signed(claim.comparison.difference)
        console.print(f"{claim.verdict}: {higher} above {lower} ({claim.source}), here {difference}", markup=False)
