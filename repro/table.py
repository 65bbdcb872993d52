"""What a table is: rows of runs beside published figures, and the orders that the paper reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from reports.assess import Order
from reports.facts import Curves
from reports.model import MAIN_COLUMNS, MAIN_MEASURES, CollectionFacts, Column
from repro.command import Options
from repro.origin import SPLIT
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from simlm.data.reference import QUESTIONS
from simlm.errors import UserError
from simlm.scales import Scale, open_scale
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

MRR = MAIN_COLUMNS[:1]
"""Tables that print MRR@10 alone."""


@dataclass(frozen=True)
class RowSpec:
    """A row that is measured: which run it is, and where the paper's figures for it stand."""

    key: str
    label: str
    kind: Literal["sparse", "dense", "reranker", "fusion"]
    run: Callable[[PipelineRuns], RunStage]
    published: dict[str, float] | None = None
    note: str = ""
    group: str = ""
    """The key of its `GroupSpec`, "" in a table without."""
    split: str = SPLIT
    """The test split that it is measured on."""
    public: str = ""
    """The label where the model that it starts from is the paper's own, "" where that is the same."""


class PaperRow(NamedTuple):
    """A row that only the paper has."""

    key: str
    label: str
    kind: str
    published: dict[str, float]
    group: str = ""
    note: str = ""
    """Why it was not measured, where that is to be said."""


@dataclass(frozen=True)
class GroupSpec:
    """Rows of a table that are measured on a collection or a split of their own, and compared with each other only."""

    key: str
    baselines: Sequence[str]
    columns: Sequence[Column]
    measures: Sequence[str] = MAIN_MEASURES
    split: str = SPLIT


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
    paper_only: Sequence[PaperRow] = ()
    baselines: Sequence[str] = ()
    orders: Sequence[Order] = ()
    measures: Sequence[str] = MAIN_MEASURES
    columns: Sequence[Column] = MAIN_COLUMNS
    """The paper's; none where it prints no figures."""
    released: PublishedOn | None = None
    """Of a table whose rows are published checkpoints: what the figures are of that the rows are held against."""
    curves: Callable[[Scale], Curves] | None = None
    """How a figure's rows lie along its axis at a scale."""
    groups: Sequence[GroupSpec] = ()
    by_domain: bool = False
    """Whether its rows are measured on halves of a collection whose questions have domains."""
    by_answers: bool = False
    """Whether its rows are measured by the answers that passages contain."""
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


def labelled(table: Table, scale: Scale) -> Table:
    """The table with its rows called by what they start from at a scale, with what is otherwise for one of them."""
    if not isinstance(scale.encoder, str):
        return table
    return replace(table, rows=[_labelled(row, scale) for row in table.rows])


def _labelled(row: RowSpec, scale: Scale) -> RowSpec:
    own = scale.retrievers.get(row.key) if row.public and row.kind == "dense" else None
    note = row.note
    if own is not None:
        settings = own.optimisation
        note = (
            f"{row.public} is fine-tuned with a learning rate of {settings.learning_rate:g} for {settings.steps:,} "
            f"updates, as the paper has it, the other rows with {scale.retriever.optimisation.learning_rate:g} for "
            f"{scale.retriever.optimisation.steps:,}."
        )
    return replace(row, label=row.public or row.label, note=note)


def check_domains(table: Table, options: Options) -> None:
    """UserError for a table that the collection cannot fill: one by domain without domains, or by qrels without qrels.

    Only InsuranceQA's questions have domains; those of NQ's test have answers and no qrels.
    """
    scale = open_scale(options.scale, options.collection)
    if table.by_domain and options.collection:
        raise UserError(
            f"--collection {options.collection}: {table.name} splits a collection by the domains of its questions, "
            "which only InsuranceQA's have; leave the option out"
        )
    if scale.collection == QUESTIONS and not table.by_answers:
        raise UserError(
            f"--collection {options.collection}: {table.name} measures by qrels, and the test questions of "
            f"{QUESTIONS} have answers instead; python -m repro.table4 measures by answers"
        )


def retriever1(
    start: str, label: str, published: dict[str, float] | None = None, key: str | None = None, public: str = ""
) -> RowSpec:
    """The row of a start fine-tuned as Retriever1; its key is the start's name unless another is given."""
    return RowSpec(key or start, label, "dense", lambda runs: runs.retriever1(start), published, public=public)


def falling(keys: Sequence[str], source: str, with_teacher: bool = False) -> list[Order]:
    """The orders of rows that the paper has one above the next, given best first."""
    return [Order(lower, higher, source, with_teacher) for higher, lower in pairwise(keys)]


def figures(table: str, columns: Sequence[Column] = MAIN_COLUMNS, /, **where: str | int) -> dict[str, float]:
    """The paper's figures of one row, by the columns' keys; the row is where columns of the file have given values."""
    frame = published(table)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    if len(frame) != 1:
        raise ValueError(f"{len(frame)} rows of {table} have {where}")
    row = frame.iloc[0]
    return {name: float(row[name]) for name in (one.key for one in columns) if name in frame and row[name] == row[name]}
