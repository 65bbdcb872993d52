"""A table at a scale whose collection has further test splits: its rows on each of them, beside the paper's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reports.model import Column
from repro.origin import SPLIT
from repro.table import GroupSpec, RowSpec, Table
from simlm.evaluation.measures import measures_of
from simlm.scales import Scale
from simlm.stages.runs import RunStage

COLUMNS = {
    "trec-dl-2019": Column("dl19_ndcg10", "TREC DL 19", "nDCG@10", "nDCG@10"),
    "trec-dl-2020": Column("dl20_ndcg10", "TREC DL 20", "nDCG@10", "nDCG@10"),
}
"""The paper's column for each further split."""


def with_extra_splits(
    table: Table, rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale
) -> tuple[Table, list[RowSpec], dict[str, RunStage]]:
    """The table with a group for test and one for each further split that it has a column for; itself where none is.

    Rows are repeated on a split where their run was made on it; orders are checked on test, where the paper has them.
    """
    further = [split for split in scale.extra_test_splits if COLUMNS.get(split) and _prints(table, COLUMNS[split])]
    if not further or table.groups:
        return table, list(rows), dict(runs)
    own = {column.key for column in COLUMNS.values()}
    columns = [column for column in table.columns if column.key not in own]
    groups = [GroupSpec(SPLIT, table.baselines, columns, table.measures)]
    found = [replace(row, group=SPLIT) for row in rows]
    asked = dict(runs)
    paper = [row._replace(group=SPLIT) for row in table.paper_only]
    for split in further:
        baselines = [key_on(key, split) for key in table.baselines]
        groups.append(
            GroupSpec(split, baselines, [COLUMNS[split]], [str(measure) for measure in measures_of(split)], split)
        )
        repeated = [row for row in rows if split in getattr(runs[row.key], "splits", ())]
        found += [replace(row, key=key_on(row.key, split), group=split, split=split, note="") for row in repeated]
        asked |= {key_on(row.key, split): runs[row.key] for row in repeated}
        printed = [row for row in table.paper_only if COLUMNS[split].key in row.published]
        paper += [row._replace(key=key_on(row.key, split), group=split, note="") for row in printed]
    return replace(table, rows=found, groups=groups, paper_only=paper), found, asked


def key_on(key: str, split: str) -> str:
    """The key of a row on a further split."""
    return f"{key}-on-{split}"


def _prints(table: Table, column: Column) -> bool:
    return any(one.key == column.key for one in table.columns)
