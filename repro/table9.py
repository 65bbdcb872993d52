"""Tables 9 and 14: test questions on which two rows differ most, with what each row puts first.

BM25 against the distilled SimLM, and both distilled retrievers against each other.

Examples:
  python -m repro.table9                    six questions a pair at mini scale
  python -m repro.table9 --scale smoke      the same in small
  python -m repro.table9 --dry-run          what would run, and for how long
"""

from functools import partial

import pandas as pd

from reports.facts import Case
from reports.page import Cell, Page, Section
from repro.command import main
from repro.pipeline_runs import PipelineRuns
from repro.query_examples import disagreeing
from repro.run import run_page
from repro.run_values import measure_on, values_of
from repro.table2 import table2
from simlm.stages.runs import RunStage

PAIRS = (("bm25", "simlm"), ("base-distilled", "simlm"))
"""The rows of Table 2 that are compared with each other."""
MEASURE = "RR@10"
COUNT = 6
"""The number of queries a pair."""


def ask(runs: PipelineRuns) -> dict[str, RunStage]:
    """Return the runs of the pairs of which the scale leaves out no row, by Table 2's keys."""
    pairs = [pair for pair in PAIRS if not {*pair} & {*runs.scale.left_out}]
    rows = table2().chosen([key for pair in pairs for key in pair])
    return {row.key: row.run(runs) for row in rows}


def table9(scale: str, runs: dict[str, RunStage]) -> Page:
    """Return the page: a section for each pair."""
    labels = {row.key: row.label for row in table2().rows}
    values = {key: values_of(run) for key, run in runs.items()}
    first_run = next(iter(runs.values()))
    collection, measure = first_run.data.source(), measure_on(first_run, MEASURE)
    sections = []
    for pair in (pair for pair in PAIRS if runs.keys() >= {*pair}):
        named = {labels[key]: runs[key] for key in pair}
        first, second = (values[key] for key in pair)
        cases = disagreeing(first, second, named, collection, measure, COUNT)
        differences = first[measure] - second[measure].reindex(first.index)
        sections.append(_section(list(named), differences.rename(measure), cases))
    return Page(
        title="Tables 9 and 14: cases",
        scale=scale,
        introduction=(
            f"Test questions of {collection.name} on which two rows of Table 2 differ most in {measure}, taken in turn "
            "from those that the one and those that the other answers better, ties by the smaller id: none was picked "
            "by hand. Each question opens to its relevant passages and to the three that each row puts first."
        ),
        sections=sections,
    )


def _section(names: list[str], differences: pd.Series, cases: list[Case]) -> Section:
    """Return the section of a pair: where each row has its first relevant passage, and the examples in full."""
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    lines: list[dict[str, Cell]] = []
    for case in cases:
        ranks: dict[str, Cell] = {f"first relevant, {one.row}": one.first_relevant_rank for one in case.results}
        lines.append({"question": case.query, "id": case.query_id, **ranks})
    return Section(
        " against ".join(names),
        lines,
        text=(
            f"Of {len(differences):,} questions, {names[0]} answers {better:,} better, {names[1]} {worse:,}, and on "
            f"{len(differences) - better - worse:,} their {differences.name} is the same. The table has the "
            "rank of the first relevant passage."
        ),
        cases=cases,
    )


run = partial(run_page, "table9", ask, table9)
"""Make what is lacking and write the page."""

if __name__ == "__main__":
    main(run, __doc__)
