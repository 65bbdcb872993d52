"""What a table is: rows of runs beside published figures, and the orders that the paper reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from reports.assess import Order
from reports.model import MAIN_COLUMNS, MAIN_MEASURES, CollectionFacts, Column, Curves
from repro.cells import Cells
from repro.command import Options
from repro.published import published
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.stages.runs import RunStage
from simlm.stages.stage import Stage

MRR = MAIN_COLUMNS[:1]
"""Tables that print MRR@10 alone."""


@dataclass(frozen=True)
class RowSpec:
    """A row that is measured: which run it is, and where the paper's figures for it stand."""

    key: str
    label: str
    kind: Literal["sparse", "dense", "reranker", "fusion"]
    run: Callable[[Cells], RunStage]
    published: dict[str, float] | None = None
    note: str = ""
    group: str = ""
    """The key of its `GroupSpec`, "" in a table without."""


@dataclass(frozen=True)
class GroupSpec:
    """Rows of a table that are measured on a collection of their own, and compared with each other only."""

    key: str
    baselines: Sequence[str]
    columns: Sequence[Column]
    measures: Sequence[str] = MAIN_MEASURES


@dataclass(frozen=True)
class PublishedOn:
    """What published figures are of: the names of that collection in a scale, its passages and its test queries."""

    collections: tuple[str, ...]
    passages: int
    queries: int

    def matches(self, collection: str, facts: CollectionFacts) -> bool:
        """Whether a scale's collection is that one, whole."""
        counts = (facts.passages, facts.queries)
        return collection in self.collections and counts == (self.passages, self.queries)


@dataclass(frozen=True)
class Table:
    """A table of the paper: measured rows, rows that only the paper has, baselines and orders to test.

    Where rows are measured on several collections, ``groups`` say what else is the table's.
    """

    name: str
    title: str
    rows: Sequence[RowSpec]
    paper_only: Sequence[tuple[str, str, str, dict[str, float]]] = field(default_factory=tuple)
    """(key, label, kind, published)"""
    baselines: Sequence[str] = ()
    orders: Sequence[Order] = ()
    measures: Sequence[str] = MAIN_MEASURES
    columns: Sequence[Column] = MAIN_COLUMNS
    """The paper's; none where it prints no figures."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Why rows of ``paper_only`` were not measured, by key, where that is to be said."""
    released: PublishedOn | None = None
    """Of a table whose rows are published checkpoints: what the figures are of that the rows are held against."""
    curves: Callable[[Scale], Curves] | None = None
    """How a figure's rows lie along its axis at a scale."""
    groups: Sequence[GroupSpec] = ()
    by_domain: bool = False
    """Whether its rows are measured on halves of a collection whose questions have domains."""
    remarks: Callable[[Sequence[RunStage], Callable[[Stage], dict[str, Any]]], list[str]] = lambda runs, numbers: []
    """What a reader of this table must know before the first figure, from its runs and the numbers that stages left."""

    def measure_of(self, key: str) -> str:
        """The measure that a row is compared by."""
        (row,) = self.chosen([key])
        return next((group.measures[0] for group in self.groups if group.key == row.group), self.measures[0])

    def chosen(self, keys: Sequence[str]) -> list[RowSpec]:
        """The rows of these keys in the table's order, all for none; UserError for an unknown key."""
        known = [row.key for row in self.rows]
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise UserError(f"unknown row {unknown[0]!r}: choose from {', '.join(known)}")
        return [row for row in self.rows if not keys or row.key in keys]


def check_domains(table: Table, options: Options) -> None:
    """UserError for a table by domain on a collection of the reader's own, which has none."""
    if table.by_domain and options.collection:
        raise UserError(
            f"--collection {options.collection}: {table.name} splits a collection by the domains of its questions, "
            "which only InsuranceQA's have; leave the option out"
        )


def retriever1(
    start: str, label: str, published: dict[str, float] | None = None, key: str | None = None, note: str = ""
) -> RowSpec:
    """The row of a start fine-tuned as Retriever1; its key is the start's name unless another is given."""
    return RowSpec(key or start, label, "dense", lambda cells: cells.retriever1(start), published, note)


def falling(keys: Sequence[str], source: str, taught: bool = False) -> list[Order]:
    """The orders of rows that the paper has one above the next, given best first."""
    return [Order(lower, higher, source, taught) for higher, lower in pairwise(keys)]


def figures(table: str, columns: Sequence[Column] = MAIN_COLUMNS, /, **where: str | int) -> dict[str, float]:
    """The paper's figures of one row, by the columns' keys; the row is where columns of the file have given values."""
    frame = published(table)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    if len(frame) != 1:
        raise ValueError(f"{len(frame)} rows of {table} have {where}")
    row = frame.iloc[0]
    return {name: float(row[name]) for name in (one.key for one in columns) if name in frame and row[name] == row[name]}
