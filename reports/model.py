"""What a report says, as plain data: dataclasses of text, numbers, lists and dicts, so that JSON can hold it.

Effectiveness measured here is a share in [0, 1]; what the paper prints is percent. The two never share a
field: `Row.measured` holds estimates by ir_measures' names, `Row.published` figures by the paper's columns.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from reports.facts import Case, Curves, FileRef, HyperParameter, StageFacts, Tuning

ALPHA = 0.05
"""A Holm-corrected p below this is called significant."""
MET, CLOSE = 0.1, 0.5
"""Points: the largest differences from a published figure that are called met and close."""


PAPER_SCALE = "paper"
"""The scale whose models, settings and budgets are the paper's."""
PAPER_COLLECTIONS = ("msmarco", "SimLM's MS MARCO", "nq")
"""The collections on which, at that scale, the same is measured as the paper measured."""


@dataclass(frozen=True)
class Column:
    """A column of the paper's figures, in percent.

    `key` is its name in `Row.published`, `place` and `figure` its head ("MS MARCO dev", "MRR@10"), `measure` the name
    that ir_measures has for the same figure ("RR@10"), "" where none of ours corresponds.
    """

    key: str
    place: str
    figure: str
    measure: str = ""


MAIN_COLUMNS = (
    Column("mrr10", "MS MARCO dev", "MRR@10", "RR@10"),
    Column("r50", "MS MARCO dev", "R@50", "R@50"),
    Column("r1k", "MS MARCO dev", "R@1k", "R@1000"),
    Column("dl19_ndcg10", "TREC DL 19", "nDCG@10"),
    Column("dl20_ndcg10", "TREC DL 20", "nDCG@10"),
)
"""The paper's Table 2. Its nDCG@10 is of TREC DL, which is not what ours is measured on."""


MAIN_MEASURES = ("RR@10", "R@50", "R@1000", "nDCG@10")
"""What Table 2's rows are measured by, as ir_measures spells it."""


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Row minus baseline by one measure: mean difference, its interval, p alone and Holm-corrected."""

    row: str
    baseline: str
    measure: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        return self.p_holm < ALPHA


@dataclass
class Row:
    """One line of the table.

    `key` names the row in comparisons, claims, cases and plots. A row without `measured` is one that only the paper
    gives; a row without `published` one that only we have. `seconds` is what the row's own stages took, `index_bytes`
    the size of what is searched, `latency_ms` milliseconds a query, one at a time. `group` is the key of the report's
    `Group` that the row is in, "" in a report without.
    """

    key: str
    label: str
    kind: Literal["sparse", "dense", "reranker", "fusion"] = "dense"
    measured: dict[str, Estimate] | None = None
    published: dict[str, float] | None = None
    note: str = ""
    seconds: float | None = None
    index_bytes: int | None = None
    latency_ms: float | None = None
    run: FileRef | None = None
    per_query: FileRef | None = None
    group: str = ""


@dataclass(frozen=True)
class CheckedOrder:
    """The paper has `higher` above `lower` (row keys) in its first column, as `source` ("Table 6") prints it.

    `published_lower` and `published_higher` are percent, None where the paper draws or tells the order and prints no
    figures. `comparison` is higher minus lower as measured here; `effect_ratio` the measured improvement over the
    published one (Breuer et al., 2020). `void` is why the order cannot be tested here though both rows were measured,
    "" where it can.
    """

    lower: str
    higher: str
    source: str
    published_lower: float | None
    published_higher: float | None
    comparison: Comparison
    effect_ratio: float | None
    void: str = ""

    @property
    def verdict(self) -> str:
        if self.void:
            return "not testable at this scale"
        if self.comparison.difference == 0:
            return "no difference"
        # Without figures the order is all that the paper has.
        lower, higher = self.published_lower, self.published_higher
        expected = lower is None or higher is None or higher > lower
        agrees = (self.comparison.difference > 0) == expected
        if self.comparison.significant:
            return "reproduced" if agrees else "contradicted"
        return "same order, not significant" if agrees else "opposite order, not significant"


@dataclass(frozen=True)
class Mark:
    """A row's figure in a column of the paper (its key), both in percent, to the one decimal that is printed."""

    row: str
    column: str
    measured: float
    published: float

    @property
    def difference(self) -> float:
        """Measured minus published, in points."""
        return round(self.measured - self.published, 1)

    @property
    def verdict(self) -> Literal["met", "close", "off"]:
        if abs(self.difference) <= MET:
            return "met"
        return "close" if abs(self.difference) <= CLOSE else "off"


@dataclass
class CollectionFacts:
    """The collection that was searched. `facts` are counts and overlaps, as data.statistics gives them."""

    name: str
    split: str
    passages: int
    queries: int
    description: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Group:
    """Rows that were measured on one collection, in a report whose rows were not all measured on the same.

    Rows of different groups answer other queries: they are never compared, and every group is a table of its own, with
    measures, columns of the paper and baselines of its own.
    """

    key: str
    collection: CollectionFacts
    measures: list[str]
    columns: list[Column]
    baselines: list[str]


@dataclass
class Report:
    """Everything a report says. `measures` orders the measured columns; the first is compared and plotted.

    In a report with `groups`, those say which measures, columns and baselines are whose, and `collection` is the one
    that theirs are parts of. `columns` are the paper's, the first being what orders are about, none where it prints no
    figures; `baselines` the keys of the rows that every row is tested against. `curves` are drawn where the rows lie
    along a quantity. `losses` maps a stage's name to its (step, loss) points. `warnings` are sentences that belong at
    the top. `provenance` is ir_metadata.
    """

    title: str
    scale: str
    collection: CollectionFacts
    rows: list[Row]
    measures: list[str]
    columns: list[Column] = field(default_factory=lambda: list(MAIN_COLUMNS))
    baselines: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    claims: list[CheckedOrder] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stages: list[StageFacts] = field(default_factory=list)
    curves: Curves | None = None
    losses: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    hyperparameters: list[HyperParameter] = field(default_factory=list)
    tuning: list[Tuning] = field(default_factory=list)
    statistics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    ordered: bool = True
    """Whether the paper has any of the table's rows above another."""
    marks: list[Mark] = field(default_factory=list)
    """Where rows are published checkpoints: how near they come to the figures that were printed for them."""
    comparable: bool = False
    """Whether such marks are fair: what was searched is the collection that the figures are of."""

    @property
    def papers_own(self) -> bool:
        """Whether the same is measured as the paper measured, and figures can be compared."""
        return self.scale == PAPER_SCALE and self.collection.name in PAPER_COLLECTIONS

    def by_group(self) -> list["Report"]:
        """What the report says of each group, as a report without groups; itself where it has none.

        They share their rows, and all lists that do not belong to a group, with this report.
        """
        if not self.groups:
            return [self]
        return [
            dataclasses.replace(
                self,
                collection=group.collection,
                rows=[row for row in self.rows if row.group == group.key],
                measures=group.measures,
                columns=group.columns,
                baselines=group.baselines,
                groups=[],
            )
            for group in self.groups
        ]

    def row(self, key: str) -> Row:
        """The row called `key`; KeyError if there is none."""
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(key)

    def measured_rows(self) -> list[Row]:
        """The rows that were measured here, in the table's order."""
        return [row for row in self.rows if row.measured is not None]

    def column(self, measure: str) -> Column | None:
        """The paper's column that a measure of ours corresponds to, if there is one."""
        return next((column for column in self.columns if column.measure == measure), None)

    def head_of(self, mark: Mark) -> str:
        """The place and the figure of a mark's column: "MS MARCO dev MRR@10"."""
        columns = [column for section in self.by_group() for column in section.columns]
        return next(f"{column.place} {column.figure}" for column in columns if column.key == mark.column)

    def comparison(self, row: str, baseline: str, measure: str) -> Comparison | None:
        """The comparison of two rows by a measure, if it was made."""
        for comparison in self.comparisons:
            if (comparison.row, comparison.baseline, comparison.measure) == (row, baseline, measure):
                return comparison
        return None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it, verdicts included."""
        data = dataclasses.asdict(self)
        for claim, as_data in zip(self.claims, data["claims"], strict=True):
            as_data["verdict"] = claim.verdict
        for mark, as_data in zip(self.marks, data["marks"], strict=True):
            as_data |= {"difference": mark.difference, "verdict": mark.verdict}
        data["losses"] = {name: [list(point) for point in points] for name, points in self.losses.items()}
        return data
