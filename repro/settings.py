"""What the pages of Tables 11 and 13 share: a table of the paper, row by row, beside the settings in force."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from reports.facts import HyperParameter
from reports.page import Cell, Page
from repro.command import Options, refuse
from repro.hyperparameters import choices, hyperparameters
from repro.origin import StageResults, complete
from repro.run import finish
from repro.trials import tried_values
from simlm.scales import Scale, open_scale


def run_settings(name: str, fill: Callable[[Scale, Sequence[HyperParameter]], Page], options: Options) -> None:
    """Write a page of settings, for which no stage has to run."""
    refuse(options, name, "collection", "rows", "negatives", "seed", "device", "processes", "search")
    if options.dry_run:
        print("no stage to run: the page is read from the scale's configuration")
        return
    scale = open_scale(options.scale)
    page = fill(scale, hyperparameters(scale, tried_values(options.scale)) + choices())
    complete(page, name, options, StageResults.of([]), 0.0)
    finish(page, name, options)


def counts(scale: Scale) -> str:
    """A sentence on a scale's counts, where they are not the paper's."""
    return "" if isinstance(scale.encoder, str) else " A scale's counts are made to fit its time."


def beside(
    paper: pd.DataFrame, names: Mapping[str, str], absent: Mapping[str, str], ours: Sequence[HyperParameter]
) -> list[dict[str, Cell]]:
    """A line for each row of the paper's table that it fills: its cells, and our setting with how it was chosen.

    ``paper`` is indexed by the rows' names, and its columns are named as a reader shall see them; ``names`` has our
    setting's name for a row, ``absent`` what takes its place where there is none.
    """
    settings = {one.name: one for one in ours}
    lines = []
    for row, cells in paper.dropna(how="all").iterrows():
        one = settings[names[row]] if row in names else None
        line: dict[str, Cell] = {"the paper's row": str(row)}
        line |= {"setting": one.name, "here": one.value} if one else {"setting": None, "here": None}
        line |= {f"paper, {column}": str(cell) for column, cell in cells.items()}
        lines.append(line | {"how chosen": one.chosen if one else absent[str(row)]})
    return lines


def others(names: Collection[str], ours: Sequence[HyperParameter]) -> list[dict[str, Cell]]:
    """A line for each of our settings that is none of ``names``, those in the paper's table."""
    return [
        {
            "setting": one.name,
            "here": one.value,
            "elsewhere in paper or released code": one.paper,
            "how chosen": one.chosen,
        }
        for one in ours
        if one.name not in names
    ]
