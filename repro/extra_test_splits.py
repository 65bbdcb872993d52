"""Show a table's rows on the extra test splits of a collection too, such as TREC DL of MS MARCO, and by its grades."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reports.model import Column
from repro.run_values import SPLIT, measure_on
from repro.table import GroupSpec, RowSpec, Table
from simlm.evaluation.measures import measures_of
from simlm.scales import Scale
from simlm.stages.runs import RunStage

COLUMN_OF = {
    "trec-dl-2019": Column("dl19_ndcg10", "TREC DL 19", "nDCG@10", "nDCG@10"),
    "trec-dl-2020": Column("dl20_ndcg10", "TREC DL 20", "nDCG@10", "nDCG@10"),
}
"""The paper's column for each extra split."""


def with_relevant_grades(table: Table, run: RunStage) -> Table:
    """Return a table whose measures say which grades count as relevant on test, where that is not 1 and more.

    ``run`` is one of the table's.
    """

    def spelt(measure: str) -> str:
        return measure_on(run, measure) if measure else ""

    columns = [replace(column, measure=spelt(column.measure)) for column in table.columns]
    return replace(table, measures=[spelt(measure) for measure in table.measures], columns=columns)


def with_extra_splits(
    table: Table, rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale
) -> tuple[Table, list[RowSpec], dict[str, RunStage]]:
    """Return a table with one group of rows for test and one for each extra split that the paper has a column for.

    A row is repeated on each split that its run was made on. Orders are tested on test, where the paper has them. The
    table is returned as it is if the scale has no extra split.

    Args:
        table: The table.
        rows: Its measured rows.
        runs: The run of each of them.
        scale: The scale.

    Returns:
        The table, its measured rows and their runs.
    """
    extra = [split for split in scale.extra_test_splits if COLUMN_OF.get(split) and _prints(table, COLUMN_OF[split])]
    if not extra or table.groups:
        return table, list(rows), dict(runs)
    own = {column.key for column in COLUMN_OF.values()}
    columns = [column for column in table.columns if column.key not in own]
    groups = [GroupSpec(SPLIT, table.baselines, columns, table.measures)]
    found = [replace(row, group=SPLIT) for row in rows]
    asked = dict(runs)
    paper = [row._replace(group=SPLIT) for row in table.paper_only]
    for split in extra:
        baselines = [key_on(key, split) for key in table.baselines]
        grade = next(iter(runs.values())).relevant_grade(split)
        measures = [str(measure) for measure in measures_of(split, grade)]
        groups.append(GroupSpec(split, baselines, [COLUMN_OF[split]], measures, split))
        repeated = [row for row in rows if split in getattr(runs[row.key], "splits", ())]
        found += [replace(row, key=key_on(row.key, split), group=split, split=split, note="") for row in repeated]
        asked |= {key_on(row.key, split): runs[row.key] for row in repeated}
        printed = [row for row in table.paper_only if COLUMN_OF[split].key in row.published]
        paper += [row._replace(key=key_on(row.key, split), group=split, note="") for row in printed]
    return replace(table, rows=found, groups=groups, paper_only=paper), found, asked


def key_on(key: str, split: str) -> str:
    """Return the key of a row on an extra split."""
    return f"{key}-on-{split}"


def _prints(table: Table, column: Column) -> bool:
    return any(one.key == column.key for one in table.columns)
