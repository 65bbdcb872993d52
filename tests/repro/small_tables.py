"""Some rows of many tables, two pages and the trials, as a command: `python -m tests.repro.small_tables RESULTS`.

All stages are made at once, so that both slots are busy; then each report is written by what its own command calls.
"""

import sys
from pathlib import Path
from typing import Any

from repro import tuning
from repro.command import Options
from repro.run import make
from repro.tables import TABLES, run_report

ROWS: dict[str, tuple[str, ...]] = {
    "table1": ("base", "roberta"),
    "table2": ("simlm-1", "bm25"),
    "table4": ("bm25", "simlm-1"),
    "table5": ("electra", "simlm"),
    "table6": ("simlm-1", "cocondenser-1"),
    "table7": ("simlm", "cocondenser"),
    "table10": ("life-on-auto", "life-on-none", "auto-on-auto"),
    "figure3": ("base", "simlm-1of8", "simlm"),
}
PAGES = ("table3", "table9")


def main(results: Path) -> None:
    """Make everything."""

    def build(options: Options, submit: Any) -> None:
        runs = options.pipeline_runs(submit)
        for name, keys in ROWS.items():
            for row in TABLES[name]().chosen(keys):
                row.run(runs)

    make(build, Options(scale="smoke", results=results))
    for name in (*PAGES, *ROWS):
        run_report(name, Options(scale="smoke", results=results, rows=ROWS.get(name, ())))
    tuning.run(Options(scale="smoke", results=results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
