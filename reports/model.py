"""A report of a table of runs, as plain data that JSON can hold.

What is measured here is a share from 0 to 1; what the paper prints is percent. They never share a field:
`Row.measured` has estimates by the names of ir_measures, `Row.published` has figures by the paper's columns.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from reports.facts import Case, Curves, FileRef, HyperParameter, StageFacts, Tuning

ALPHA = 0.05
"""A p below it, after Holm's correction, is called significant."""
CONFOUNDED = "confounded: public start"
"""The verdict in place of one that a test would give, where a row stands on a public model of no part in the paper."""
MET, CLOSE = 0.1, 0.5
"""The largest differences from a published figure, in points, that are called met and close."""
PAPER_SCALE = "paper"
"""The scale whose models, settings and budgets are the paper's."""
PAPER_COLLECTIONS = ("msmarco", "SimLM's MS MARCO", "nq")
"""What that scale calls the collections on which it measures the same as the paper."""


@dataclass(frozen=True)
class Column:
    """A column of the paper's figures, in percent.

    `key` is its name in `Row.published`. `place` and `figure` are its head: "MS MARCO dev", "MRR@10". `measure` is what
    ir_measures calls the same figure ("RR@10"), "" where we do not measure it.
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
"""The columns of the paper's Table 2. Its nDCG@10 is measured on TREC DL, ours is not."""


MAIN_MEASURES = ("RR@10", "R@50", "R@1000", "nDCG@10")
"""What the rows of Table 2 are measured by, as ir_measures spells it."""


@dataclass(frozen=True)
class Estimate:
    """A mean over queries (0 to 1) and the ends of its bootstrap interval."""

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

    `key` is what comparisons, claims, query examples and plots call the row. A row without `measured` is one that only
    the paper has; one without `published` is only ours. `seconds` is the time of all stages that the row stands on,
    `index_bytes` the size of what is searched, `latency_ms` the milliseconds for one query at a time. `group` is the
    key of the row's `Group`, "" in a report without groups. A `reference` is outside the comparison: no other row is
    tested with it, nor it with another.
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
    reference: bool = False


@dataclass(frozen=True)
class CheckedOrder:
    """An order of two rows that the paper has, with what was measured: `higher` above `lower` in its first column.

    `lower` and `higher` are keys of rows. `source` is where the paper prints the order ("Table 6"). `published_lower`
    and `published_higher` are percent, None where the paper prints no figures. `comparison` is `higher` minus `lower`
    as measured here. `effect_ratio` is the measured improvement over the published one (Breuer et al., SIGIR 2020).
    `void` says why the order cannot be tested although both rows were measured, "" where it can. With `public_start` a
    row stands on a public model that the paper did not start from: a significant difference is `CONFOUNDED`.
    """

    lower: str
    higher: str
    source: str
    published_lower: float | None
    published_higher: float | None
    comparison: Comparison
    effect_ratio: float | None
    void: str = ""
    public_start: bool = False

    @property
    def verdict(self) -> str:
        """Return in words what became of the order."""
        if self.void:
            return "not testable at this scale"
        if self.comparison.difference == 0:
            return "no difference"
        # Without figures the order is all that the paper has.
        lower, higher = self.published_lower, self.published_higher
        expected = lower is None or higher is None or higher > lower
        agrees = (self.comparison.difference > 0) == expected
        if self.comparison.significant:
            if self.public_start:
                return CONFOUNDED
            return "reproduced" if agrees else "contradicted"
        return "same order, not significant" if agrees else "opposite order, not significant"


@dataclass(frozen=True)
class Mark:
    """A row's figure in a column of the paper (its key): measured and published, both in percent with one decimal."""

    row: str
    column: str
    measured: float
    published: float

    @property
    def difference(self) -> float:
        """Return measured minus published, in points."""
        return round(self.measured - self.published, 1)

    @property
    def verdict(self) -> Literal["met", "close", "off"]:
        """Return how near they are: within `MET`, within `CLOSE`, or neither."""
        if abs(self.difference) <= MET:
            return "met"
        return "close" if abs(self.difference) <= CLOSE else "off"


@dataclass
class CollectionFacts:
    """The collection that was searched; `facts` are counts and overlaps."""

    name: str
    split: str
    passages: int
    queries: int
    description: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Group:
    """Rows that were measured on one collection or split, in a report of rows on several.

    Rows of different groups have other queries: they are never compared. Each group is a table of its own, with its own
    measures, columns of the paper and baselines.
    """

    key: str
    collection: CollectionFacts
    measures: list[str]
    columns: list[Column]
    baselines: list[str]


@dataclass
class Report:
    """All that a report says of a table of runs.

    `measures` are the measured columns in their order; the first is compared and plotted. `columns` are the paper's;
    its first is what orders are about; there are none where the paper prints no figures. `baselines` are the keys of
    the rows that every row is tested against. In a report with `groups` these three are the groups' own, and
    `collection` is the one that the groups' collections are parts of. `curves` say which rows lie along a quantity, in
    a figure. `losses` has (step, loss) points by stage. `warnings` are sentences for the top of the page. `provenance`
    is ir_metadata.
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
    """How near published checkpoints come to the figures that were printed for them."""
    comparable: bool = False
    """Whether such marks are fair: the collection is the one that the printed figures are of."""

    @property
    def papers_own(self) -> bool:
        """Return whether scale and collection are the paper's, so that figures can be compared."""
        return self.scale == PAPER_SCALE and self.collection.name in PAPER_COLLECTIONS

    def by_group(self) -> list["Report"]:
        """Return a report for each group, or the report itself where it has no groups.

        They share their rows, and all lists that belong to no group, with this report.
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
        """Return the row of that key; KeyError if there is none."""
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(key)

    def measured_rows(self) -> list[Row]:
        """Return the rows that were measured here, in the table's order."""
        return [row for row in self.rows if row.measured is not None]

    def column(self, measure: str) -> Column | None:
        """Return the paper's column for one of our measures, if there is one."""
        return next((column for column in self.columns if column.measure == measure), None)

    def head_of(self, mark: Mark) -> str:
        """Return the head of a mark's column: "MS MARCO dev MRR@10"."""
        columns = [column for section in self.by_group() for column in section.columns]
        return next(f"{column.place} {column.figure}" for column in columns if column.key == mark.column)

    def comparison(self, row: str, baseline: str, measure: str) -> Comparison | None:
        """Return the comparison of two rows (keys) by a measure, if it was made."""
        for comparison in self.comparisons:
            if (comparison.row, comparison.baseline, comparison.measure) == (row, baseline, measure):
                return comparison
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, with verdicts."""
        data = dataclasses.asdict(self)
        for claim, as_data in zip(self.claims, data["claims"], strict=True):
            as_data["verdict"] = claim.verdict
        for mark, as_data in zip(self.marks, data["marks"], strict=True):
            as_data |= {"difference": mark.difference, "verdict": mark.verdict}
        data["losses"] = {name: [list(point) for point in points] for name, points in self.losses.items()}
        return data
