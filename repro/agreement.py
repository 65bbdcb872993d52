"""Our BM25 beside the run of the paper's authors, where the archive that they released has it."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from ir_measures import RR, nDCG

from repro.cases import run_file
from repro.origin import SPLIT
from simlm.data.authors import authors_run
from simlm.data.scored import read_msmarco_run
from simlm.evaluation.agreement import DEPTH, PERSISTENCE, Rankings, agreement
from simlm.evaluation.measures import evaluate
from simlm.retrieval.runs import read_run_ids, write_rankings
from simlm.scales import Scale
from simlm.stages.runs import RunStage

MEASURES = (RR @ 10, nDCG @ 10)


def beside_authors(run: RunStage, scale: Scale) -> list[str]:
    """A sentence on how far a BM25 run agrees with the authors', query by query; [] where theirs is not to be had."""
    folder = _archive(scale)
    path = authors_run(folder, SPLIT) if folder is not None else None
    if path is None:
        return []
    theirs = {query: ids[:DEPTH] for query, (ids, _) in read_msmarco_run(path)}
    ours = {query: ids[:DEPTH] for query, ids, _ in read_run_ids(run_file(run))}
    if not theirs.keys() & ours.keys():
        return []
    qrels = run.data.source().qrels(SPLIT)
    with TemporaryDirectory() as scratch:

        def measured(rankings: Rankings) -> pd.DataFrame:
            path = Path(scratch) / "run"
            write_rankings(path, _rows(rankings), "run")
            asked = {query: judged for query, judged in qrels.items() if query in rankings}
            return evaluate(path, asked, MEASURES)

        found = agreement(theirs, ours, measured)
    tau = "–" if math.isnan(found.kendall) else f"{found.kendall:.3f}"
    errors = ", ".join(f"{value:.4f} {name}" for name, value in found.error.items())
    return [
        f"BM25 beside the authors' own run ({Path(str(path)).name}), by repro-eval over {found.queries:,} queries and "
        f"their first {DEPTH} passages: Kendall's tau of the union {tau}, rank-biased overlap (p {PERSISTENCE:g}) "
        f"{found.overlap:.3f}, root mean square error {errors}. None of SimLM's own runs was "
        "released: effect ratios, which stand with the orders, are to the published means."
    ]


def _archive(scale: Scale) -> Path | None:
    """The folder of the released archive, of a collection that is made of it."""
    if scale.collection == "released archives":
        return Path(scale.location)
    if scale.collection == "msmarco":
        from simlm.data.official import archive_folder

        return archive_folder()
    return None


def _rows(rankings: Rankings) -> Iterator[tuple[str, list[str], np.ndarray]]:
    for query, ids in rankings.items():
        yield query, ids, -np.arange(len(ids), dtype=np.float32)
