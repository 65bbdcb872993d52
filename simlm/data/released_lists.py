"""Files of the released implementation that hold ids with scores: lists to train on, teacher scores, runs."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from simlm.data.readers import File, id_of, read_lines, read_objects, text_of
from simlm.errors import UserError


class Scored(NamedTuple):
    """Passage ids, and as many finite scores. Random negatives were drawn into some lists, so an id can come again."""

    ids: list[str]
    scores: list[float]


class TrainingLine(NamedTuple):
    """A line of train.jsonl or dev.jsonl, scored by BM25 or a retriever, or of kd_train.jsonl, scored by the teacher.

    A positive that the run lacks has the score -1. ``number`` is that of the line, from 1.
    """

    number: int
    query_id: str
    query: str
    positives: Scored
    negatives: Scored


def read_training(path: File) -> Iterator[TrainingLine]:
    """Yield the lines of such a file; UserError with file and line for one that is none."""
    for number, row in read_objects(path):
        yield TrainingLine(
            number,
            id_of(path, number, row, "query_id"),
            text_of(path, number, row, "query"),
            _scored(path, number, row, "positives"),
            _scored(path, number, row, "negatives"),
        )


def _scored(path: File, number: int, row: dict[str, Any], name: str) -> Scored:
    listed = row.get(name)
    ids, scores = (listed.get("doc_id"), listed.get("score")) if isinstance(listed, dict) else (None, None)
    if not isinstance(ids, list) or not isinstance(scores, list) or not all(isinstance(id, str) for id in ids):
        raise UserError(f'{path}:{number}: "{name}" is no object of the lists "doc_id", of strings, and "score"')
    if len(ids) != len(scores):
        raise UserError(f'{path}:{number}: "{name}" has {len(ids)} ids and {len(scores)} scores; mend this line')
    for score in scores:
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise UserError(f'{path}:{number}: "{name}" has the score {str(score)[:40]!r}, no finite number; mend it')
    return Scored(ids, [float(score) for score in scores])


def read_msmarco_run(path: File) -> Iterator[tuple[str, Scored]]:
    """Yield the queries of a run in MS MARCO's format: query id, passage id, rank and score, separated by tabs.

    Without its fourth column a line has the score 1 / rank. Ranks of a query are 1, 2, ... UserError, with file and
    line, for a line that is none, a rank out of turn, and a query or a passage that comes twice.
    """
    seen: set[str] = set()
    query, found, names = "", Scored([], []), set[str]()
    for number, line in read_lines(path):
        fields = line.split("\t")
        if len(fields) not in (3, 4):
            raise UserError(
                f"{path}:{number}: {len(fields)} columns where query id, passage id, rank and perhaps a score, "
                "separated by tabs, must be; mend this line"
            )
        if fields[0] != query:
            if found.ids:
                yield query, found
            query, found, names = fields[0], Scored([], []), set()
            if query in seen:
                raise UserError(
                    f"{path}:{number}: query {query!r} comes again after another one; keep its lines together"
                )
            seen.add(query)
        rank, score = _rank_and_score(path, number, fields[2:])
        if rank != len(found.ids) + 1:
            raise UserError(f"{path}:{number}: rank {rank} where {len(found.ids) + 1} has to be; a line is missing")
        if fields[1] in names:
            raise UserError(f"{path}:{number}: passage {fields[1]!r} comes twice for query {query!r}; keep one of them")
        names.add(fields[1])
        found.ids.append(fields[1])
        found.scores.append(score)
    if found.ids:
        yield query, found


def _rank_and_score(path: File, number: int, fields: list[str]) -> tuple[int, float]:
    try:
        rank = int(fields[0])
        score = float(fields[1]) if len(fields) > 1 else 1 / rank
    except (ValueError, ZeroDivisionError):
        rank, score = 0, math.nan
    if rank < 1 or not math.isfinite(score):
        raise UserError(
            f"{path}:{number}: {' '.join(fields)[:40]!r} are no rank from 1 and finite score; mend this line"
        )
    return rank, score
