"""Run a published table again and compare its figures: `python -m repro.verify --help` lists the options."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from reports.files import ROOT, read_report
from reports.model import Report, Row
from repro.command import Options, check
from repro.tables import run_report
from simlm.commands.checks import check_known, check_scale
from simlm.commands.command_line import parse
from simlm.commands.leave import leave_by
from simlm.errors import UserError
from simlm.scales.scale import FLOAT32, PRECISIONS

DESCRIPTION = """Run a published table again and compare each measured figure with the published one.

The table's own command runs; stages that are finished in the results folder are reused, so give a new folder to make
everything afresh. Every row is printed as met or off. Exit status: 0 where all rows are met, 1 where one is off, 2 for
a mistake in the options.

Examples:
  python -m repro.verify table2                       against reports/mini/table2.json, from what ./results has
  python -m repro.verify table2 --results afresh      the same, with every stage made again
  python -m repro.verify table7 --tolerance 0.01      on other hardware, where rounding differs
"""


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify."""

    table: Annotated[str, tyro.conf.arg(metavar="TABLE"), tyro.conf.Positional]
    """A published table or figure: table2, figure3, ..."""
    scale: str = "mini"
    """The scale whose published report is meant."""
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    """Folder of stages, runs and reports. What is finished there is reused."""
    tolerance: float = 0.001
    """Largest difference of a mean over queries, such as RR@10 (0 to 1), from the published one that is still met."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes a GPU where there is one."""
    precision: str = "auto"
    """float32 or bfloat16: the report that was published with this option; auto: the one without."""
    processes: int = 1
    """How many processes share each stage's work."""


def run(options: VerifyOptions, published: Path = ROOT) -> bool:
    """Run the table, print a line for each row, and return whether all of them are met."""
    if not 0 <= options.tolerance < 1:
        raise UserError(f"--tolerance {options.tolerance:g}: choose a difference from 0 to 1, such as 0.001")
    check_scale(options.scale)
    check_known("precision", options.precision, ("auto", *PRECISIONS))
    folder = Options(scale=options.scale, precision=options.precision).published_in
    before = published_report(options.table, folder, published)
    made_in = before.provenance.get("method", {}).get("precision", FLOAT32)
    table = Options(
        scale=options.scale,
        results=options.results,
        device=options.device,
        precision=made_in,
        processes=options.processes,
    )
    check(table)
    run_report(options.table, table)
    now = read_report(options.results / options.scale / table.variant / f"{options.table}.json")
    assert isinstance(now, Report), "a table of runs stays one"
    lines = list(compared(before, now, options.tolerance))
    commit = str(before.provenance["implementation"]["source"]["commit"])[:12]
    print(f"{before.title}, {before.scale} scale, as published from {commit}, within {options.tolerance:g}:")
    for line in lines:
        print(line)
    return all(line.startswith("met") for line in lines)


def published_report(name: str, scale: str, published: Path = ROOT) -> Report:
    """Return the published report of a table; UserError where there is none, or where it is no table of runs."""
    found = {path.stem: path for path in sorted((published / scale).glob("*.json"))}
    if name in found and isinstance(report := read_report(found[name]), Report):
        return report
    tables = [one for one, path in found.items() if isinstance(read_report(path), Report)]
    known = f"choose one of {', '.join(tables)}" if tables else f"no table is published at {scale} scale"
    raise UserError(f"{name!r} is no published table of runs: {known}")


def compared(before: Report, now: Report, tolerance: float) -> Iterator[str]:
    """Yield a line for each measured row: met, or off with every figure that differs by more than `tolerance`.

    References, which the table's command leaves out unless it publishes, are passed over.
    """
    then_rows, now_rows = ({row.key: row for row in report.measured_rows()} for report in (before, now))
    for key, row in (then_rows | now_rows).items():
        if row.reference:
            continue
        if key not in now_rows:
            yield f"off  {row.label}: published, and not measured now"
        elif key not in then_rows:
            yield f"off  {row.label}: measured now, and not published"
        else:
            yield _compared(then_rows[key], now_rows[key], tolerance)


def _compared(before: Row, now: Row, tolerance: float) -> str:
    then, today = ({name: one.mean for name, one in (row.measured or {}).items()} for row in (before, now))
    if missing := set(then) ^ set(today):
        return f"off  {before.label}: only one of both has {', '.join(sorted(missing))}"
    figures = [f"{name} {mean:.4f}" for name, mean in today.items() if abs(mean - then[name]) <= tolerance]
    beyond = [
        f"{name} {mean:.4f}, published {then[name]:.4f} ({mean - then[name]:+.4f})"
        for name, mean in today.items()
        if not abs(mean - then[name]) <= tolerance
    ]
    return f"off  {before.label}: {'; '.join(beyond)}" if beyond else f"met  {before.label}: {', '.join(figures)}"


if __name__ == "__main__":
    leave_by(lambda: sys.exit(0 if run(parse(VerifyOptions, DESCRIPTION)) else 1))
