"""Our re-ranker's logits beside the teacher scores of the paper's authors, where the archives have them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from repro.agreement import archives_of
from repro.origin import SPLIT
from repro.query_examples import run_file
from repro.table import RowSpec
from simlm.data.authors import DISTILLATION, authors_scores
from simlm.data.lines import File
from simlm.data.scored import read_training
from simlm.evaluation.agreement import alike
from simlm.retrieval.runs import read_run_ids
from simlm.scales import Scale
from simlm.stages.reranker import Rerank
from simlm.stages.runs import RunStage

ROWS = ("reranker", "simlm-reranker")
"""SimLM's re-ranker, trained here or as it was released."""


def beside_teacher(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale) -> list[str]:
    """A sentence on how far a re-ranker agrees with the authors' on test; [] where their scores are not to be had."""
    asked = [(row, run) for row in rows if row.key in ROWS and isinstance(run := runs[row.key], Rerank)]
    folder = archives_of(scale) if asked else None
    path = authors_scores(folder, SPLIT) if folder is not None else None
    if path is None:
        return []
    return [said for row, run in asked if (said := compared(path, run_file(run), run.depth, row.label))]


def compared(path: File, run: Path, depth: int, label: str) -> str:
    """The sentence on a re-ranked run, whose first ``depth`` places have logits; "" where no list can be compared."""
    found = alike(_shared(path, run, depth))
    if found is None:
        return ""
    tau = "–" if math.isnan(found.kendall) else f"{found.kendall:.3f}"
    return (
        f"{label}: its logits beside the authors' teacher scores (kd_dev.jsonl of {DISTILLATION}), over "
        f"{found.pairs:,} passages of {found.lists:,} queries that both scored: Kendall's tau within a query {tau}, "
        f"the same passage first for {found.first:.1%} of the queries, root mean square difference "
        f"{found.error:.4f}, each query's mean taken off."
    )


def _shared(path: File, run: Path, depth: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Their scores and ours of the passages that both scored, a query at a time."""
    ours = {query: (ids[:depth], np.array(scores[:depth], np.float32)) for query, ids, scores in read_run_ids(run)}
    for line in read_training(path):
        ids, scores = ours.pop(line.query_id, ([], np.empty(0, np.float32)))
        # A random negative can have been drawn twice.
        theirs = dict(
            zip(line.positives.ids + line.negatives.ids, line.positives.scores + line.negatives.scores, strict=True)
        )
        shared = [(theirs[id], score) for id, score in zip(ids, scores.tolist(), strict=True) if id in theirs]
        both = np.array(shared, dtype=np.float64).reshape(-1, 2)
        yield both[:, 0], both[:, 1]
