"""Effectiveness measures of a TREC run file, per query, through ir_measures.

Run files of this project hold strictly decreasing scores for every query. That is checked here, because it
is what makes all tools agree: ir_measures' RR@10 breaks ties by ascending passage id, trec_eval's measures
by descending id.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import ir_measures
import numpy as np
import pandas as pd
from ir_measures import RR, Judged, R, nDCG
from ir_measures.measures import Measure

from simlm.data.collection import SPLITS
from simlm.errors import UserError

MEASURES: tuple[Measure, ...] = (RR @ 10, R @ 50, R @ 1000, nDCG @ 10)
"""The measures of Table 2 (MRR@10, R@50, R@1k, nDCG@10) under the names that ir_measures gives them."""


def measures_of(split: str, grade: int) -> tuple[Measure, ...]:
    """Return what a split's runs are measured by, where passages are relevant from a grade on.

    On a test split beside valid and test, TREC DL's first measure comes first. Judged@10 is the share of the first ten
    passages that were judged.
    """
    measures = MEASURES if split in SPLITS else (nDCG @ 10, Judged @ 10, RR @ 10, R @ 50, R @ 1000)
    return tuple(counted_from(measure, grade) for measure in measures)


def counted_from(measure: Measure, grade: int) -> Measure:
    """Return a measure with passages relevant from a grade on; nDCG, which has all grades as gains, stays as it is."""
    return measure(rel=grade) if grade != 1 and "rel" in measure.SUPPORTED_PARAMS else measure


Qrels = Mapping[str, Mapping[str, int]]


def evaluate(run_path: Path, qrels: Qrels, measures: Sequence[Measure] = MEASURES) -> pd.DataFrame:
    """Measure a run file against qrels.

    Args:
        run_path: a TREC run file.
        qrels: grades by query and passage.
        measures: as ir_measures names them.

    Returns:
        A frame indexed by ``query_id``, one row for every query of ``qrels`` in their order, one float column a
        measure, named as ir_measures prints it ("RR@10"). A query that the run lacks counts 0; a query that only the
        run has is left out. Values lie in [0, 1].

    Raises:
        UserError: for a run that is missing or unreadable, for a line that is no TREC run line, and for a query whose
            passages are repeated or whose scores do not strictly decrease. An empty file is the run of queries none of
            which found anything.
    """
    if not qrels:
        raise UserError(f"{run_path}: there are no relevance judgements to measure against; check the split")
    run = _read(run_path)
    relevant = _positions_of_judged(run, qrels)
    frame = pd.DataFrame(
        0.0, index=pd.Index(list(qrels), name="query_id"), columns=[str(measure) for measure in measures]
    )
    for measure in measures:
        thinned = _as_dict(_what_counts(run, relevant, measure))
        metrics = ir_measures.iter_calc([measure], qrels, thinned)
        values = {metric.query_id: metric.value for metric in metrics}
        frame[str(measure)] = [float(values.get(query_id, 0.0)) for query_id in qrels]
    return frame


def _what_counts(run: pd.DataFrame, judged_relevant: np.ndarray, measure: Measure) -> pd.DataFrame:
    """Return the rows of the run that can change a measure.

    Handing a million rows to the providers costs seconds. A measure with cut-off k depends on the first k rows of a
    query; recall, a count of relevant passages, on the relevant ones among them.
    """
    if "cutoff" not in measure.params or measure.params.get("judged_only"):
        return run
    keep = run["rank"].to_numpy() < measure["cutoff"]
    if measure.NAME == "R":
        keep &= judged_relevant
    return run[keep]


def _positions_of_judged(run: pd.DataFrame, qrels: Qrels) -> np.ndarray:
    """Tell for each row, bool (rows,), whether the qrels know its passage as relevant (grade > 0) to its query."""
    passages = run["passage"].cat.categories
    queries = run["query"].cat.categories
    pairs = [
        (query_id, passage_id)
        for query_id, grades in qrels.items()
        for passage_id, grade in grades.items()
        if grade > 0
    ]
    wanted_queries, wanted_passages = zip(*pairs, strict=True) if pairs else ((), ())
    query_codes = queries.get_indexer(pd.Index(wanted_queries, dtype=queries.dtype))
    passage_codes = passages.get_indexer(pd.Index(wanted_passages, dtype=passages.dtype))
    known = (query_codes >= 0) & (passage_codes >= 0)
    width = len(passages)
    wanted = query_codes[known].astype(np.int64) * width + passage_codes[known]
    return np.isin(_pair_codes(run), wanted)


def _pair_codes(run: pd.DataFrame) -> np.ndarray:
    """Return one int64 a row that stands for its (query, passage) pair."""
    query = run["query"].cat.codes.to_numpy(dtype=np.int64)
    return query * len(run["passage"].cat.categories) + run["passage"].cat.codes.to_numpy(dtype=np.int64)


def _as_dict(run: pd.DataFrame) -> dict[str, dict[str, float]]:
    result: dict[str, dict[str, float]] = {}
    columns: Iterable[tuple[str, str, float]] = zip(run["query"], run["passage"], run["score"], strict=True)
    for query_id, passage_id, score in columns:
        result.setdefault(query_id, {})[passage_id] = score
    return result


def _read(path: Path) -> pd.DataFrame:
    """Read a run as columns query, passage (categories), score (float32, as trec_eval holds it), rank (from 0)."""
    run = _columns(path)
    query = run["query"].cat.codes.to_numpy()
    score = run["score"].to_numpy()
    first = np.ones(len(run), dtype=bool)
    first[1:] = query[1:] != query[:-1]
    _check_order(path, run, first, score)
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(run)))
    run["rank"] = (np.arange(len(run)) - np.repeat(starts, sizes)).astype(np.int32)
    return run


def _columns(path: Path) -> pd.DataFrame:
    """Read the columns query, passage and score of a run, whose lines are in no order yet."""
    try:
        with warnings.catch_warnings(record=True) as caught:  # of a first line with too many fields
            warnings.simplefilter("always")
            run = pd.read_csv(
                path,
                sep=r"\s+",
                header=None,
                names=["query", "q0", "passage", "position", "score", "tag"],
                dtype={
                    # read as text: pandas makes numbers of categories, and "007" is another id than "7"
                    "query": "str",
                    "passage": "str",
                    "score": "float32",
                    "q0": "category",
                    "position": "category",
                    "tag": "category",
                },
                index_col=False,
                na_filter=False,
                quoting=3,
                encoding="utf-8",
            )
        surplus = any(issubclass(warning.category, pd.errors.ParserWarning) for warning in caught)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such run file; run the retrieval that writes it") from None
    except pd.errors.EmptyDataError:
        run, surplus = pd.DataFrame({"query": [], "passage": [], "score": np.empty(0, np.float32), "tag": []}), False
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(_first_bad_line(path) or f"{path}: not a TREC run file: {error}") from None
    if surplus or (run["tag"] == "").any():
        raise UserError(_first_bad_line(path) or f"{path}: not a TREC run file")
    return run[["query", "passage", "score"]].astype({"query": "category", "passage": "category"})


def _check_order(path: Path, run: pd.DataFrame, first: np.ndarray, score: np.ndarray) -> None:
    """Raise UserError unless a query is one block of distinct passages with finite, strictly decreasing scores."""
    falling = np.ones(len(run), dtype=bool)
    falling[1:] = first[1:] | (score[1:] < score[:-1])
    bad = np.flatnonzero(~(falling & np.isfinite(score)))
    if len(bad):
        raise UserError(
            f"{path}, line {bad[0] + 1}: scores within a query must strictly decrease, or tools rank it "
            f"differently; write the run with simlm.retrieval.runs.write_run"
        )
    if int(first.sum()) != run["query"].nunique():
        again = np.flatnonzero(first & run["query"].where(first).duplicated().to_numpy())
        raise UserError(
            f"{path}, line {again[0] + 1}: query {run['query'].iloc[again[0]]} appears again after other "
            f"queries; keep the lines of a query together"
        )
    repeated = pd.Series(_pair_codes(run)).duplicated().to_numpy()
    if repeated.any():
        line = int(repeated.argmax())
        raise UserError(
            f"{path}, line {line + 1}: passage {run['passage'].iloc[line]} is listed twice for query "
            f"{run['query'].iloc[line]}; delete the run and retrieve again"
        )


def _first_bad_line(path: Path) -> str | None:
    """Name the first line that is not `query Q0 passage rank score tag`; None if there is none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            try:
                line.decode("utf-8")
                ok = len(fields) == 6 and math.isfinite(float(fields[4]))
            except (UnicodeDecodeError, ValueError):
                ok = False
            if not ok:
                return f"{path}, line {number}: not a line `query Q0 passage rank score tag`; retrieve again"
    return None
