"""What the pages of Tables 11 and 13 share: the paper's rows beside the settings in force."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reports.model import HyperParameter
from reports.page import Cell, Page, Section
from repro.command import Options, refuse
from repro.hyperparameters import choices, hyperparameters
from repro.origin import StageResults, complete
from repro.published import published
from repro.run import finish
from repro.trials import tried_values
from simlm.scales import Scale, open_scale


class PaperColumns(NamedTuple):
    """Columns of the paper's table that one section of the page shows."""

    heading: str
    columns: Mapping[str, str]
    """What the page calls each column of the file."""
    settings: Mapping[str, str]
    """The name of our setting for each of the paper's rows that has one."""


def run_settings(name: str, fill: Callable[[Scale, Sequence[HyperParameter]], Page], options: Options) -> None:
    """Write a page of settings, for which no stage has to run."""
    changing = "collection", "rows", "negatives", "keep_own_passages", "seed", "precision"
    refuse(options, name, *changing, "device", "processes", "search", "rehearse")
    if options.dry_run:
        print("no stage to run: the page is read from the scale's configuration")
        return
    scale = open_scale(options.scale)
    page = fill(scale, hyperparameters(scale, tried_values(options.scale)) + choices(scale))
    complete(page, name, options, StageResults.of([]), 0.0)
    finish(page, name, options)


def settings_page(
    title: str,
    table: str,
    beside: str,
    parts: Sequence[PaperColumns],
    absent: Mapping[str, str],
    scale: Scale,
    settings: Sequence[HyperParameter],
) -> Page:
    """Return a page with the paper's rows, then our settings that the paper's table does not name.

    Args:
        title: The title of the page.
        table: The name of the file of the paper's table.
        beside: The end of the sentence on what stands beside our values.
        parts: The sections.
        absent: What to say of the paper's rows that are no settings of ours.
        scale: The scale whose settings these are.
        settings: Our settings of this table.
    """
    counts = "" if scale.has_papers_models else " A scale's counts are made to fit its time."
    named = {name for part in parts for name in part.settings.values()}
    others: list[dict[str, Cell]] = [
        {
            "setting": one.name,
            "here": one.value,
            "elsewhere in paper or released code": one.paper,
            "how chosen": one.chosen,
        }
        for one in settings
        if one.name not in named
    ]
    return Page(
        title=title,
        scale=scale.name,
        introduction=(
            f"What is in force at this scale, on {scale.collection}, read from its configuration, beside what the "
            f"paper prints{beside.format(counts=counts)}"
        ),
        sections=[
            *(Section(part.heading, _beside(table, part, absent, settings)) for part in parts),
            Section("Settings that it does not name", others),
        ],
    )


def _beside(
    table: str, part: PaperColumns, absent: Mapping[str, str], settings: Sequence[HyperParameter]
) -> list[dict[str, Cell]]:
    """Return a line for each of the paper's rows that has a value: its values, and ours with how it was chosen."""
    paper = published(table).set_index("hyperparameter")[list(part.columns)].rename(columns=part.columns)
    ours = {one.name: one for one in settings}
    lines = []
    for row, cells in paper.dropna(how="all").iterrows():
        one = ours[part.settings[row]] if row in part.settings else None
        line: dict[str, Cell] = {"the paper's row": str(row)}
        line |= {"setting": one.name, "here": one.value} if one else {"setting": None, "here": None}
        line |= {f"paper, {column}": str(cell) for column, cell in cells.items()}
        lines.append(line | {"how chosen": one.chosen if one else absent[str(row)]})
    return lines
