"""What a table is: rows of runs beside published figures, and the orders that the paper reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from baselines.checkpoints import Checkpoints
from baselines.system import System
from reports.assess import Order
from reports.facts import Curves
from reports.model import MAIN_COLUMNS, MAIN_MEASURES, Column
from repro.command import Options
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.run_values import SPLIT
from simlm.data.catalogue import NQ, BuiltIn, halves
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

BERT_LIKE = "BERT-like (word vectors)"
"""What a label says of the start that stands for BERT-base, where it is no public model."""
MRR = MAIN_COLUMNS[:1]
"""The columns of a table that prints MRR@10 alone."""
MRR_AND_R1K = [column for column in MAIN_COLUMNS if column.key in ("mrr10", "r1k")]
"""The columns of a table that prints MRR@10 and R@1k."""


@dataclass(frozen=True)
class RowSpec:
    """A row that is measured: which run it shows, and the paper's figures for it."""

    key: str
    label: str
    kind: Literal["sparse", "dense", "reranker", "fusion"]
    run: Callable[[PipelineRuns], RunStage]
    published: dict[str, float] | None = None
    note: str = ""
    group: str = ""
    """The key of its `GroupSpec`; "" in a table without groups."""
    split: str = SPLIT
    """The test split that it is measured on."""
    public: str = ""
    """The label at paper scale, where the row starts from the paper's own model; "" if it does not change."""
    reference: bool = False
    """Whether it is outside the comparison: no other row is tested with it, and it is measured where it is named, or
    published."""
    left_out: bool = False
    """Whether it is measured only where it is named, as the scale says."""


class PaperRow(NamedTuple):
    """A row that is quoted from the paper and not measured here."""

    key: str
    label: str
    kind: str
    published: dict[str, float]
    group: str = ""
    note: str = ""
    """Why it was not measured, where a reader must know."""


@dataclass(frozen=True)
class GroupSpec:
    """Rows that are measured on a collection or split of their own, and compared with each other only."""

    key: str
    baselines: Sequence[str]
    columns: Sequence[Column]
    measures: Sequence[str] = MAIN_MEASURES
    split: str = SPLIT


@dataclass(frozen=True)
class ReleasedRows:
    """The published checkpoints that ``--released`` measures in place of a table's rows."""

    systems: Sequence[System]
    published_on: BuiltIn
    run: Callable[[PipelineRuns, System, Checkpoints], RunStage] | None = None
    """The run of a system; the run of its search if left out."""
    without_collection: str = ""
    """Why ``--collection`` must be given, where it must."""


@dataclass(frozen=True)
class Table:
    """A table of the paper: measured rows, quoted rows, baselines, and orders to test.

    Where rows are measured on several collections, ``groups`` has the baselines, columns and measures of each.
    """

    name: str
    title: str
    rows: Sequence[RowSpec]
    paper_only: Sequence[PaperRow] = ()
    baselines: Sequence[str] = ()
    orders: Sequence[Order] = ()
    measures: Sequence[str] = MAIN_MEASURES
    columns: Sequence[Column] = MAIN_COLUMNS
    """The paper's columns; none if it prints no figures."""
    released: ReleasedRows | None = None
    """What ``--released`` measures; None if the table has no such option."""
    published_on: BuiltIn | None = None
    """In a table whose rows are published checkpoints: the collection of the figures that stand beside them."""
    curves: Callable[[Scale], Curves] | None = None
    """How the rows of a figure lie along its axis."""
    groups: Sequence[GroupSpec] = ()
    by_domain: bool = False
    """Whether rows are measured on halves of a collection whose questions have domains."""
    by_answers: bool = False
    """Whether rows are measured by the answers that passages contain."""
    remarks: Callable[[Sequence[RunStage], Callable[[Stage], dict[str, Any]]], list[str]] = lambda runs, numbers: []
    """What a reader must know before the first figure, from the runs and the numbers that a stage left."""
    beside: Callable[[Scale], Sequence[RowSpec]] = lambda scale: ()
    """Rows that a scale has behind the table's own."""

    def measure_of(self, key: str) -> str:
        """Return the measure that a row is compared by."""
        (row,) = self.chosen([key])
        return next((group.measures[0] for group in self.groups if group.key == row.group), self.measures[0])

    def chosen(self, keys: Sequence[str], references: bool = False) -> list[RowSpec]:
        """Return the rows with these keys in the table's order; without keys all that are not left out.

        These have references among them if asked for.

        Raises:
            UserError: A key is unknown.
        """
        known = [row.key for row in self.rows]
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise UserError(f"unknown row {unknown[0]!r}: choose from {', '.join(known)}")
        if not keys:
            return [row for row in self.rows if not row.left_out and (references or not row.reference)]
        return [row for row in self.rows if row.key in keys]


def at_scale(table: Table, scale: Scale) -> Table:
    """Return the table with all rows of a scale, whose labels name the public models if it starts from them."""
    rows = [
        replace(row, left_out=True) if row.key in scale.left_out else row for row in (*table.rows, *table.beside(scale))
    ]
    if scale.has_papers_models:
        rows = [_labelled(row, scale) for row in rows]
    elif isinstance(scale.encoder, str):
        name = scale.encoder.rpartition("/")[2]
        rows = [replace(row, label=row.label.replace(BERT_LIKE, f"{name} (a public model)")) for row in rows]
    return replace(table, rows=rows, beside=Table.beside)


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
    """Raise UserError if the collection lacks the domains or the qrels that a table needs.

    Only InsuranceQA's questions have domains. The test questions of NQ have answers and no qrels.
    """
    collection = options.open_scale().collection
    if table.by_domain and not halves(collection):
        raise UserError(
            f"--collection {options.collection}: {table.name} splits a collection by the domains of its questions, "
            "which only InsuranceQA's have; leave the option out"
        )
    if collection == NQ.name and not table.by_answers:
        raise UserError(
            f"--collection {options.collection}: {table.name} measures by qrels, and the test questions of "
            f"{NQ.name} have answers instead; python -m repro.table4 measures by answers"
        )


def retriever1(
    start: str, label: str, published: dict[str, float] | None = None, key: str = "", public: str = ""
) -> RowSpec:
    """Return the row of a start fine-tuned as Retriever1; its key is the name of the start unless given."""
    return RowSpec(key or start, label, "dense", lambda runs: runs.retriever1(start), published, public=public)


def falling(keys: Sequence[str], source: str, with_teacher: bool = False) -> list[Order]:
    """Return the orders of rows given from best to worst: each is above the next."""
    return [Order(lower, higher, source, with_teacher) for higher, lower in pairwise(keys)]


def figures(table: str, columns: Sequence[Column] = MAIN_COLUMNS, /, **where: str | int) -> dict[str, float]:
    """Return the paper's figures of one row, by the keys of the columns.

    Args:
        table: The name of the file of published figures.
        columns: The columns to return, where the row has a figure.
        where: The row is the one that has these values in these columns of the file.
    """
    frame = published(table)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    if len(frame) != 1:
        raise ValueError(f"{len(frame)} rows of {table} have {where}")
    row = frame.iloc[0]
    return {name: float(row[name]) for name in (one.key for one in columns) if name in frame and row[name] == row[name]}
