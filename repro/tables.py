"""Every table of runs, by name."""

from collections.abc import Callable

from repro.figure3 import figure3
from repro.table import Table
from repro.table1 import table1
from repro.table2 import table2
from repro.table4 import table4
from repro.table5 import table5
from repro.table6 import table6
from repro.table7 import table7
from repro.table8 import table8
from repro.table10 import table10
from repro.table12 import table12
from simlm.data.catalogue import halves

TABLES: dict[str, Callable[[], Table]] = {
    "table1": table1,
    "table2": table2,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "table7": table7,
    "table8": table8,
    "table10": table10,
    "table12": table12,
    "figure3": figure3,
}


def tables_on(collection: str) -> dict[str, Callable[[], Table]]:
    """Those that can be made on a collection, as a scale names it: InsuranceQA's questions alone have domains."""
    return {name: table for name, table in TABLES.items() if halves(collection) or not table().by_domain}
