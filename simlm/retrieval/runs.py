"""Runs: ranked passages of queries, in memory as passage indices and on disk as TREC run files.

A run file holds ``query Q0 passage rank score tag`` lines. Evaluation tools break equal scores in opposite
directions (ir_measures' RR by ascending passage id, trec_eval by descending), so every file written here
holds strictly decreasing scores: any tool then ranks it as we do, by score and then by passage index.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from simlm.data.ids import unfit
from simlm.errors import UserError
from simlm.files import atomic_file

PADDING = -1
"""The passage index of the places that a query's ranking leaves empty; their score is -inf."""

_ROWS_AT_A_TIME = 256
_NAMES_KEPT = 1_000_000
_SIGN = 0x80000000
_LARGEST = float(np.finfo(np.float32).max)


class IdLookup(Protocol):
    """Gives places their names and names their places, in corpus order, as `simlm.data.ids.IdTable` does."""

    def __getitem__(self, index: int, /) -> str: ...

    def indices(self, ids: Sequence[str], /) -> np.ndarray:
        """Return the places of names, int64 (n); KeyError with the first name that is not there."""


@dataclass(frozen=True, eq=False)
class Run:
    """The ranked passages of some queries.

    Attributes:
        query_ids: (Q) names of the queries.
        indices: int64 (Q, k) passage indices, best first; `PADDING` in the places left empty, at the end.
        scores: float32 (Q, k), decreasing; -inf in the places left empty.
    """

    query_ids: list[str]
    indices: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.indices.shape != self.scores.shape:
            raise ValueError(f"indices {self.indices.shape} and scores {self.scores.shape} must be one (Q, k) shape")
        if len(self.query_ids) != len(self.indices):
            raise ValueError(f"{len(self.query_ids)} query ids for {len(self.indices)} rankings")

    @property
    def depth(self) -> int:
        """k, the number of places in a ranking."""
        return int(self.indices.shape[1])


def rank(indices: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rankings (Q, k) by decreasing score, equal scores by passage index, padding last."""
    if np.isnan(scores).any():
        raise ValueError("a run's scores must not be NaN")
    scores = np.where(indices == PADDING, -np.inf, scores).astype(np.float32, copy=False)
    order = np.lexsort((indices, -scores), axis=-1)
    return np.take_along_axis(indices, order, axis=-1), np.take_along_axis(scores, order, axis=-1)


def without(run: Run, left_out: np.ndarray, depth: int) -> Run:
    """Take one passage out of each query's ranking, and cut rankings to ``depth`` places.

    ``left_out`` has the passage index of each query, int64 (Q,), `PADDING` for a query that keeps all.
    """
    out = (run.indices == left_out[:, None]) & (run.indices != PADDING)
    order = np.argsort(out, axis=1, kind="stable")[:, :depth]  # what is taken out goes behind the rest
    indices, scores = np.where(out, PADDING, run.indices), np.where(out, np.float32(-np.inf), run.scores)
    return Run(run.query_ids, np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1))


def strictly_decreasing(scores: np.ndarray) -> np.ndarray:
    """Return the largest strictly decreasing float32 scores (..., k) that lie nowhere above the given ones.

    A score that does not lie below its predecessor becomes the next smaller float32 (np.nextafter). This is done on the
    floats' ordered integers o, where "below its predecessor" reads new[i] = min(o[i], new[i - 1] - 1).
    """
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(bits & (_SIGN - 1)), bits)  # monotone in the float; -0.0 and 0.0 share 0
    steps = np.arange(ordered.shape[-1])
    ordered = np.minimum.accumulate(ordered + steps, axis=-1) - steps
    return np.where(ordered < 0, _SIGN - ordered, ordered).astype(np.uint32).view(np.float32)


def write_rankings(path: Path, rankings: Iterable[tuple[str, Sequence[str], np.ndarray]], tag: str) -> None:
    """Write rankings into a TREC run file, one after the other and in the order given.

    Scores are made strictly decreasing in float32 and printed with the 9 digits that tell any two float32 apart. The
    file appears when it is complete.

    Args:
        path: the file.
        rankings: query id, passage ids and scores (k), best first.
        tag: the run's tag, one word.

    Raises:
        UserError: for an id that the format can't hold.
    """
    if len(tag.split()) != 1:
        raise ValueError(f"a run's tag must be one word, not {tag!r}")
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, passage_ids, scores in rankings:
            for id in (query_id, *passage_ids):
                if reason := unfit(id):
                    raise UserError(
                        f"{path}: query {query_id!r}: the id {id!r} {reason}, which a TREC run cannot hold; rename it "
                        "in the collection"
                    )
            printed = strictly_decreasing(scores).tolist()
            file.writelines(
                f"{query_id} Q0 {passage_id} {place} {score:.9g} {tag}\n"
                for place, (passage_id, score) in enumerate(zip(passage_ids, printed, strict=True), start=1)
            )


def write_run(path: Path, run: Run, passage_ids: IdLookup, tag: str) -> None:
    """Write a run as a TREC run file, sorted by score and then by passage index, scores strictly decreasing.

    The file is replaced at the end. Raises ValueError for infinite or NaN scores.
    """
    write_rankings(path, _named(run, passage_ids), tag)


def _named(run: Run, passage_ids: IdLookup) -> Iterator[tuple[str, list[str], np.ndarray]]:
    for start in range(0, len(run.query_ids), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        indices, scores = rank(run.indices[block], run.scores[block])
        filled = (indices != PADDING).sum(axis=1)
        for query_id, row, row_scores, count in zip(run.query_ids[block], indices, scores, filled, strict=True):
            if not np.isfinite(row_scores[:count]).all():
                raise ValueError(f"query {query_id} has a passage with an infinite score")
            yield query_id, [passage_ids[index] for index in row[:count].tolist()], row_scores[:count]


def read_run_ids(path: Path) -> Iterator[tuple[str, list[str], list[float]]]:
    """Yield query id, passage ids and scores of each query of a TREC run file, in the file's order.

    Raises UserError, with file and line, for a line that is none of a run, a last line cut short, or a query or a
    passage that comes twice.
    """
    for query_id, passage_ids, scores, _ in _read_queries(path):
        yield query_id, passage_ids, scores


def read_run(path: Path, query_ids: Sequence[str], passage_ids: IdLookup) -> Run:
    """Read a TREC run file as a `Run` over ``query_ids``, in their order, whatever the file's.

    Scores become float32 and rankings are sorted by them, equal scores by passage index; the file's rank column does
    not count. Queries without a line get padding only. Raises UserError, with file and line, as `read_run_ids` does,
    and for a query or a passage that is not among the given ones.
    """
    places = {query_id: place for place, query_id in enumerate(query_ids)}
    indices_of = _Remembered(passage_ids)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for query_id, names, scores, first_line in _read_queries(path):
        if query_id not in places:
            raise UserError(
                f"{path}:{first_line}: unknown query {query_id!r}; the run belongs to another collection "
                "or split, make it again"
            )
        try:
            indices = indices_of(names)
        except KeyError as error:
            line = first_line + names.index(error.args[0])
            raise UserError(
                f"{path}:{line}: unknown passage {error.args[0]!r}; the run belongs to another collection, "
                "make it again"
            ) from None
        found[places[query_id]] = rank(indices, np.asarray(scores, dtype=np.float32))
    depth = max((len(indices) for indices, _ in found.values()), default=0)
    all_indices = np.full((len(query_ids), depth), PADDING, dtype=np.int64)
    all_scores = np.full((len(query_ids), depth), -np.inf, dtype=np.float32)
    for place, (indices, row_scores) in found.items():
        all_indices[place, : len(indices)] = indices
        all_scores[place, : len(indices)] = row_scores
    return Run(list(query_ids), all_indices, all_scores)


class _Remembered:
    """Looks names up and keeps what it found: a run names the same passages over and over."""

    def __init__(self, names: IdLookup) -> None:
        self._names = names
        self._known: dict[str, int] = {}

    def __call__(self, names: list[str]) -> np.ndarray:
        if len(self._known) > _NAMES_KEPT:
            self._known.clear()
        new = [name for name in names if name not in self._known]
        self._known.update(zip(new, self._names.indices(new).tolist(), strict=True))
        return np.fromiter((self._known[name] for name in names), dtype=np.int64, count=len(names))


def _read_queries(path: Path) -> Iterator[tuple[str, list[str], list[float], int]]:
    """Yield query id, passage ids, scores and the number of the first line, of each query in turn."""
    seen: set[str] = set()
    query_id, names, scores, first_line = "", list[str](), list[float](), 1
    unique: set[str] = set()
    for number, (line_query, name, score) in enumerate(_read_lines(path), start=1):
        if line_query != query_id:
            if names:
                yield query_id, names, scores, first_line
            if line_query in seen:
                raise UserError(
                    f"{path}:{number}: query {line_query!r} comes again after another one; keep a query's "
                    "lines together"
                )
            seen.add(line_query)
            query_id, names, scores, first_line, unique = line_query, [], [], number, set()
        if name in unique:
            raise UserError(f"{path}:{number}: passage {name!r} comes twice for query {query_id!r}; keep one of them")
        unique.add(name)
        names.append(name)
        scores.append(score)
    if names:
        yield query_id, names, scores, first_line


def _read_lines(path: Path) -> Iterator[tuple[str, str, float]]:
    """Yield query id, passage id and score of each line."""
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path}: can't read this run ({error.strerror}); make it again") from None
    with file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    raise UserError(f"{path}:{number}: the file ends inside this line, it was cut short; make it again")
                fields = line.split()
                score = _parse(fields)
                if score is None:
                    raise UserError(
                        f"{path}:{number}: not a line of a TREC run, 'query Q0 passage rank score tag' with "
                        f"a finite score: {line.strip()[:80]!r}; mend it or make the run again"
                    )
                yield fields[0], fields[2], score
        except UnicodeDecodeError:
            raise UserError(f"{path}:{number + 1}: invalid UTF-8 at or after this line; make the run again") from None


def _parse(fields: list[str]) -> float | None:
    """Return the score of a line's six fields; None for a line that is none of a run."""
    if len(fields) != 6:
        return None
    try:
        int(fields[3])
        score = float(fields[4])
    except ValueError:
        return None
    return score if abs(score) <= _LARGEST else None  # a NaN compares false
