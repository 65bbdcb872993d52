"""The test questions on which two rows differ most, with what rows find for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.cases import collect_cases, disagreements
from reports.model import Case
from repro.origin import SPLIT, output_of
from simlm.stages.runs import RunStage

if TYPE_CHECKING:
    # Importing ir_datasets makes folders below HOME: a command has its options checked first.
    from simlm.data.collections import Collection


def run_file(run: RunStage, split: str = SPLIT) -> Path:
    """The TREC run file of the test questions."""
    return output_of(run) / f"{split}.run"


def values_of(run: RunStage, measures: Sequence[str] = (), split: str = SPLIT) -> pd.DataFrame:
    """Every test question's measures, indexed by query_id: those that the run's stage left, and others asked for."""
    frame = pd.read_csv(output_of(run) / f"{split}.measures.csv", dtype={"query_id": str}).set_index("query_id")
    more = [name for name in measures if name not in frame]
    if more:
        import ir_measures

        from simlm.evaluation.measures import evaluate

        parsed = [ir_measures.parse_measure(name) for name in more]
        frame = frame.join(evaluate(run_file(run, split), run.data.source().qrels(split), parsed))
    return frame


def disagreeing(
    one: pd.DataFrame,
    other: pd.DataFrame,
    runs: Mapping[str, RunStage],
    collection: "Collection",
    measure: str,
    count: int,
) -> list[Case]:
    """The cases of the ``count`` questions on which two rows' values differ most, in turn from both sides.

    ``runs`` are those whose top passages are shown, by the name that a case gives them.
    """
    chosen = disagreements(one, other, measure, count)
    queries = {query.id: query.text for query in collection.queries(SPLIT) if query.id in chosen}
    store = collection.docs.docs_store()
    return collect_cases(
        chosen,
        {name: run_file(run) for name, run in runs.items()},
        collection.qrels(SPLIT),
        queries.__getitem__,
        lambda passages: {doc.doc_id: doc.text for doc in store.get_many_iter(passages)},
    )
