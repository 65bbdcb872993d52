"""Our runs beside those of the paper's authors, where the archives that they released have them."""

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
from repro.origin import SPLIT
from repro.query_examples import run_file
from repro.table import RowSpec
from simlm.data.catalogue import MSMARCO, SIMLM_ARCHIVE
from simlm.data.readers import File
from simlm.data.released_archive import (
    ARCHIVE,
    AUTHORS_BM25,
    AUTHORS_RERANKED,
    AUTHORS_RETRIEVER2,
    RERANKER,
    AuthorsRun,
    authors_run,
)
from simlm.data.released_lists import read_msmarco_run
from simlm.evaluation.agreement import DEPTH, PERSISTENCE, Agreement, Rankings, agreement, effect_ratios
from simlm.evaluation.measures import Qrels, evaluate
from simlm.retrieval.runs import read_run_ids, write_rankings
from simlm.scales import Scale
from simlm.stages.runs import RunStage

MEASURES = (RR @ 10, nDCG @ 10)
FURTHER = (nDCG @ 10, RR(rel=2) @ 10)
"""On TREC DL, whose judgements are graded."""


class Beside(NamedTuple):
    """A row that has a counterpart among the authors' runs: the rows' key, its name in a sentence, the counterpart."""

    row: str
    name: str
    theirs: AuthorsRun


COUNTERPARTS = (
    Beside("bm25", "BM25", AUTHORS_BM25),
    Beside("simlm-2", "SimLM's Retriever2", AUTHORS_RETRIEVER2),
    Beside("reranker", "SimLM's re-ranker", AUTHORS_RERANKED),
)
"""From the least to the most effective, as the paper has them."""


class Ours(NamedTuple):
    """A run file of ours on a split, and what it is judged by."""

    run: Path
    qrels: Qrels


def beside_authors(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], scale: Scale) -> list[str]:
    """Sentences on how far our runs agree with the authors', query by query; [] where theirs are not to be had."""
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
        for one in (one for one, asked in known if asked == split):
            run = runs[one.row if split == SPLIT else key_on(one.row, split)]
            ours[one.row] = Ours(run_file(run, split), run.data.source().qrels(split))
        said += compared(folder, split, ours)
    return said + _lacking(folder, {one.row for one, _ in known})


def compared(folder: Path, split: str, ours: Mapping[str, Ours]) -> list[str]:
    """A sentence for each row (its key) of which there is a run of the authors', and their effect ratios."""
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
    """The folder of the released archives, of a collection that is made of one."""
    if scale.collection == MSMARCO.layout:
        return Path(scale.location)
    if scale.collection == MSMARCO.name:
        return SIMLM_ARCHIVE.fetch(MSMARCO.name)
    return None


def _agreement(path: File, ours: Ours, split: str) -> Agreement | None:
    """None where the two runs have no judged query in common."""
    theirs = {query: ids[:DEPTH] for query, (ids, _) in read_msmarco_run(path) if query in ours.qrels}
    own = {query: ids[:DEPTH] for query, ids, _ in read_run_ids(ours.run) if query in theirs}
    if not own:
        return None
    measures = MEASURES if split == SPLIT else FURTHER
    return agreement(theirs, own, lambda rankings: _measured(rankings, ours.qrels, measures))


def _measured(rankings: Rankings, qrels: Qrels, measures: Sequence[Measure]) -> pd.DataFrame:
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "run"
        write_rankings(path, _rows(rankings), "run")
        return evaluate(path, {query: judged for query, judged in qrels.items() if query in rankings}, measures)


def _sentence(one: Beside, found: Agreement, split: str) -> str:
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
    """What would have to lie there for Retriever2's run to be compared, where it was measured."""
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
