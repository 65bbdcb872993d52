"""What a finished run left: its file, and the measures of every query."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from simlm.stages.runs import RunStage
from simlm.workflow.plan import job_of
from simlm.workflow.stage import Stage

SPLIT = "test"


def output_of(stage: Stage) -> Path:
    """Return the output folder of a planned stage."""
    return job_of(stage) / "output"


def run_file(run: RunStage, split: str = SPLIT) -> Path:
    """Return the TREC run file of a finished run."""
    return output_of(run) / f"{split}.run"


def measure_on(run: RunStage, name: str, split: str = SPLIT) -> str:
    """Return what a measure is called with the grades of a split that count as relevant: "RR(rel=2)@10" for "RR@10"."""
    import ir_measures

    from simlm.evaluation.measures import counted_from

    return str(counted_from(ir_measures.parse_measure(name), run.relevant_grade(split)))


def values_of(run: RunStage, measures: Sequence[str] = (), split: str = SPLIT) -> pd.DataFrame:
    """Return the measures of every test query from the files that a run left, indexed by query_id.

    Args:
        run: The finished run, whose stage left some measures.
        measures: Names of others that are wanted, as ir_measures spells them.
        split: The test split.
    """
    # Ids are text, and none of them stands for a missing value: "007" and "NA" are ids.
    path = output_of(run) / f"{split}.measures.csv"
    frame = pd.read_csv(path, dtype={"query_id": str}, keep_default_na=False).set_index("query_id")
    more = [name for name in measures if name not in frame]
    if more:
        import ir_measures

        from simlm.evaluation.measures import evaluate

        parsed = [ir_measures.parse_measure(name) for name in more]
        frame = frame.join(evaluate(run_file(run, split), run.data.source().qrels(split), parsed))
    return frame
