"""The figures that the paper prints, as data frames; README.md beside this file says where they come from."""

from functools import cache
from importlib.resources import files

import pandas as pd

from simlm.errors import UserError


def published(table: str) -> pd.DataFrame:
    """Return the figures of one table of the paper, as printed (effectiveness in percent).

    Args:
        table: "table1" to "table8", "table10" to "table13", "nq" for the hyper-parameters on Natural Questions, or
            "claims" for the claims about order.

    Returns:
        The columns of the file; a blank cell of the paper is NaN.

    Raises:
        UserError: There is no such table.
    """
    return _read(table).copy()


@cache
def _read(table: str) -> pd.DataFrame:
    known = {
        resource.name.removesuffix(".csv"): resource
        for resource in files(__name__).iterdir()
        if resource.name.endswith(".csv")
    }
    if table not in known:
        names = ", ".join(sorted(known, key=lambda name: (len(name), name)))
        raise UserError(f"there are no published figures called {table}; known are {names}")
    with known[table].open("r", encoding="utf-8") as lines:
        # only blank cells are missing: the paper has a row called "none"
        return pd.read_csv(lines, keep_default_na=False, na_values=[""])
