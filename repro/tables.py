"""The registry of everything that `python -m repro.all` makes: one line a table, figure or page."""

import importlib
from collections.abc import Callable

from repro.command import Options
from repro.run import run_table
from repro.table import Table
from simlm.data.catalogue import halves

TABLE_NAMES = (
    "table1",
    "table2",
    "table4",
    "table5",
    "table6",
    "table7",
    "table8",
    "table10",
    "table12",
    "figure3",
)
"""The tables of runs, each a module of this name with a function of the same name that returns the table."""
PAGES = ("table3", "table9")
"""The tables that show no measures of runs and stand on Table 2's stages, each a module with a function ``run``."""
SETTINGS = ("table11", "table13")
"""The tables of a scale's settings, for which no stage runs, each a module with a function ``run``."""

TABLES: dict[str, Callable[[], Table]] = {
    name: getattr(importlib.import_module(f"repro.{name}"), name) for name in TABLE_NAMES
}


def tables_on(collection: str) -> dict[str, Callable[[], Table]]:
    """Return the tables that can be made on a collection: those by domain need InsuranceQA's questions.

    Args:
        collection: The name of the collection in a scale.
    """
    return {name: table for name, table in TABLES.items() if halves(collection) or not table().by_domain}


def run_report(name: str, options: Options) -> None:
    """Make one table, figure or page by its name."""
    if name in TABLES:
        run_table(TABLES[name](), options)
    else:
        importlib.import_module(f"repro.{name}").run(options)
