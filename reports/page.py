"""A report that is no table of runs: sections of lines and query examples, with provenance."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from reports.facts import Case, StageFacts
from reports.markdown import count, number


@dataclass(frozen=True)
class Link:
    """Text that leads to a file, whose path is relative to the page's."""

    text: str
    target: str


Cell = str | int | float | Link | None
"""Text, a whole number, a measure (a float), a link, or None for an empty cell."""


def shown(cell: Cell) -> str:
    """Return a cell as text for people: 12,345 for a whole number, 0.1234 for a measure."""
    if isinstance(cell, Link):
        return cell.text
    if isinstance(cell, str):
        return cell
    return number(cell) if isinstance(cell, float) else count(cell)


@dataclass
class Section:
    """Lines below a heading, and maybe query examples.

    Each of `rows` has a cell for every head of the table: all have the same heads in the same order. `row` of an
    example's result is a label for readers.
    """

    heading: str
    rows: list[dict[str, Cell]]
    text: str = ""
    cases: list[Case] = field(default_factory=list)

    @property
    def heads(self) -> list[str]:
        """Return the heads of the table's columns."""
        return list(self.rows[0]) if self.rows else []

    def is_numeric(self, head: str) -> bool:
        """Return whether a column has numbers."""
        return any(isinstance(row[head], int | float) for row in self.rows)


@dataclass
class Page:
    """A report that is no table of runs. `stages`, `warnings`, `notes` and `provenance` are as in a `Report`."""

    title: str
    scale: str
    introduction: str
    sections: list[Section]
    stages: list[StageFacts] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the page as JSON has it."""
        return dataclasses.asdict(self)
