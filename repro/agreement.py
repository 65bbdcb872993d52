"""Our runs and re-ranker scores beside those of the paper's authors, where their released archives have them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from ir_measures import RR, nDCG
from ir_measures.measures import Measure

from repro.extra_test_splits import key_on
from repro.run_values import SPLIT, run_file
from repro.table import RowSpec
from simlm.data.catalogue import MSMARCO, SIMLM_ARCHIVE
from simlm.data.readers import File
from simlm.data.released_archive import (
    ARCHIVE,
    AUTHORS_BM25,
    AUTHORS_RERANKED,
    AUTHORS_RETRIEVER2,
    DISTILLATION,
    RERANKER,
    AuthorsRun,
    authors_run,
    authors_scores,
)
from simlm.data.released_lists import read_msmarco_run, read_training
from simlm.evaluation.agreement import DEPTH, PERSISTENCE, Agreement, Rankings, agreement, alike, effect_ratios
from simlm.evaluation.measures import Qrels, counted_from, evaluate
from simlm.retrieval.runs import read_run_ids, write_rankings
from simlm.scales import Scale
from simlm.stages.reranker import Rerank
from simlm.stages.runs import RunStage

MEASURES = (RR @ 10, nDCG @ 10)
"""The measures on test; on TREC DL the second comes first."""
SCORED_ROWS = ("reranker", "simlm-reranker")
"""The rows of SimLM's re-ranker, trained here or as it was released."""


class Counterpart(NamedTuple):
    """A row that the authors released a run of: the row's key, its name in a sentence, and their run."""

    row: str
    name: str
    theirs: AuthorsRun


COUNTERPARTS = (
    Counterpart("bm25", "BM25", AUTHORS_BM25),
    Counterpart("simlm-2", "SimLM's Retriever2", AUTHORS_RETRIEVER2),
    Counterpart("reranker", "SimLM's re-ranker", AUTHORS_RERANKED),
)
"""From the least to the most effective, as the paper has them."""


class Ours(NamedTuple):
    """A run file of ours on a split, the qrels of the split, and the smallest grade there that is relevant."""

    run: Path
    qrels: Qrels
    grade: int = 1


def beside_authors(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale) -> list[str]:
    """Return sentences on how far our runs agree with the authors', query by query; none without their archives.

    Args:
        rows: The measured rows.
        runs: Their runs, by the rows' keys.
        scale: The scale.
    """
    splits = list(dict.fromkeys(row.split for row in rows))
    measured = {row.key for row in rows}
    known = [
        (one, split)
        for split in splits
        for one in COUNTERPARTS
        if (one.row if split == SPLIT else key_on(one.row, split)) in measured
    ]
    folder = archives_of(scale) if known else None
    if folder is None:
        return []
    said = []
    for split in splits:
        ours = {}
        for one in (one for one, on in known if on == split):
            run = runs[one.row if split == SPLIT else key_on(one.row, split)]
            ours[one.row] = Ours(run_file(run, split), run.data.source().qrels(split), run.relevant_grade(split))
        said += compared_runs(folder, split, ours)
    return said + _lacking(folder, {one.row for one, _ in known})


def compared_runs(folder: Path, split: str, ours: Mapping[str, Ours]) -> list[str]:
    """Return a sentence for each row (its key) that the authors released a run of, then effect ratios of rows."""
    said, found = [], []
    for one in COUNTERPARTS:
        path = authors_run(folder, split, one.theirs) if one.row in ours else None
        result = _agreement(path, ours[one.row], split) if path is not None else None
        if result is not None:
            said.append(_sentence(one, result, split))
            found.append((one, result))
    for (lower, baseline), (higher, advanced) in pairwise(found):
        if not baseline.theirs.index.intersection(advanced.theirs.index).empty:
            ratios = effect_ratios(baseline, advanced)
            values = ", ".join(f"{_number(value, 2)} {name}" for name, value in ratios.ratio.items())
            said.append(
                f"Effect ratio of {higher.name} over {lower.name}{_where(split)}, our mean improvement over that of "
                f"the authors' own runs, by repro-eval over the {ratios.queries:,} queries that all four runs have: "
                f"{values}."
            )
    return said


def archives_of(scale: Scale) -> Path | None:
    """Return the folder of the released archives; None if the collection does not come from them."""
    if scale.collection == MSMARCO.layout:
        return Path(scale.location)
    if scale.collection == MSMARCO.name:
        return SIMLM_ARCHIVE.fetch(MSMARCO.name)
    return None


def _agreement(path: File, ours: Ours, split: str) -> Agreement | None:
    """Return how far two runs agree; None if they have no judged query in common."""
    theirs = {query: ids[:DEPTH] for query, (ids, _) in read_msmarco_run(path) if query in ours.qrels}
    own = {query: ids[:DEPTH] for query, ids, _ in read_run_ids(ours.run) if query in theirs}
    if not own:
        return None
    measures = [counted_from(one, ours.grade) for one in (MEASURES if split == SPLIT else MEASURES[::-1])]
    return agreement(theirs, own, lambda rankings: _measured(rankings, ours.qrels, measures))


def _measured(rankings: Rankings, qrels: Qrels, measures: Sequence[Measure]) -> pd.DataFrame:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "run"
        write_rankings(path, _rows(rankings), "run")
        return evaluate(path, {query: judged for query, judged in qrels.items() if query in rankings}, measures)


def _sentence(one: Counterpart, found: Agreement, split: str) -> str:
    errors = ", ".join(f"{value:.4f} {name}" for name, value in found.error.items())
    means = ", ".join(
        f"{found.ours[name].mean():.4f} {name} here and {found.theirs[name].mean():.4f} theirs" for name in found.error
    )
    return (
        f"{one.name} beside the authors' own run{_where(split)} ({one.theirs.file_of(split)} of {one.theirs.archive}), "
        f"by repro-eval over {found.queries:,} queries and their first {DEPTH} passages: Kendall's tau of the union "
        f"{_number(found.kendall, 3)}, rank-biased overlap (p {PERSISTENCE:g}) {found.overlap:.3f}, root mean square "
        f"error {errors}; means {means}."
    )


def _lacking(folder: Path, rows: set[str]) -> list[str]:
    """Say what is missing to compare Retriever2's run, if it was measured."""
    if "simlm-2" not in rows or authors_run(folder, SPLIT, AUTHORS_RETRIEVER2) is not None:
        return []
    return [
        f"The authors' own run of SimLM's Retriever2 is in {RERANKER}.zip, which does not lie beside {ARCHIVE}: with "
        "it there, the two are compared query by query. Effect ratios of Retriever2, which stand with the orders, are "
        "to the published means alone."
    ]


def _where(split: str) -> str:
    return "" if split == SPLIT else f" on {split}"


def _number(value: float | None, places: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{places}f}"


def _rows(rankings: Rankings) -> Iterator[tuple[str, list[str], np.ndarray]]:
    for query, ids in rankings.items():
        yield query, ids, -np.arange(len(ids), dtype=np.float32)


def beside_teacher(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale) -> list[str]:
    """Return a sentence on how far our re-ranker agrees with the authors' on test; none without their scores.

    Args:
        rows: The measured rows.
        runs: Their runs, by the rows' keys.
        scale: The scale.
    """
    scored = [(row, run) for row in rows if row.key in SCORED_ROWS and isinstance(run := runs[row.key], Rerank)]
    folder = archives_of(scale) if scored else None
    path = authors_scores(folder, SPLIT) if folder is not None else None
    if path is None:
        return []
    return [said for row, run in scored if (said := compared_scores(path, run_file(run), run.depth, row.label))]


def compared_scores(path: File, run: Path, depth: int, label: str) -> str:
    """Return the sentence on a re-ranked run; "" if no query can be compared.

    Args:
        path: The authors' teacher scores.
        run: Our run file.
        depth: The number of passages a query that were re-ranked, whose scores are logits.
        label: What a reader calls our re-ranker.
    """
    found = alike(_both_scored(path, run, depth))
    if found is None:
        return ""
    tau = "–" if math.isnan(found.kendall) else f"{found.kendall:.3f}"
    return (
        f"{label}: its logits beside the authors' teacher scores (kd_dev.jsonl of {DISTILLATION}), over "
        f"{found.pairs:,} passages of {found.lists:,} queries that both scored: Kendall's tau within a query {tau}, "
        f"the same passage first for {found.first:.1%} of the queries, root mean square difference "
        f"{found.error:.4f}, each query's mean taken off."
    )


def _both_scored(path: File, run: Path, depth: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield their scores and ours of the passages that both scored, one query at a time."""
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
