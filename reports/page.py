"""A report that is no table of runs: sections of lines and cases, with their provenance."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from reports.facts import Case, StageFacts
from reports.markdown import count, number


@dataclass(frozen=True)
class Link:
    """A text that leads to a file, by its path relative to the page's."""

    text: str
    target: str


Cell = str | int | float | Link | None
"""Text, a whole number or a measure as JSON has it, a link, or None where there is nothing to say."""


def shown(cell: Cell) -> str:
    """A cell for people: a whole number with its thousands set apart, a measure with four digits."""
    if isinstance(cell, Link):
        return cell.text
    if isinstance(cell, str):
        return cell
    return number(cell) if isinstance(cell, float) else count(cell)


@dataclass
class Section:
    """Lines under a heading, maybe with the cases that they list.

    `rows` hold a cell for every head of the table, all the same heads in the same order. The `row` of a case's result
    is the label that a reader knows it by.
    """

    heading: str
    rows: list[dict[str, Cell]]
    text: str = ""
    cases: list[Case] = field(default_factory=list)

    @property
    def heads(self) -> list[str]:
        """The heads of the table's columns."""
        return list(self.rows[0]) if self.rows else []

    def is_numeric(self, head: str) -> bool:
        """Whether a column holds numbers."""
        return any(isinstance(row[head], int | float) for row in self.rows)


@dataclass
class Page:
    """Everything a page says. `stages`, `warnings`, `notes` and `provenance` are as in `reports.model.Report`."""

    title: str
    scale: str
    introduction: str
    sections: list[Section]
    stages: list[StageFacts] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The page as JSON has it."""
        return dataclasses.asdict(self)
