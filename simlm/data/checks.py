"""Every rule that a collection has to keep, checked before anything is written."""

import gzip
import json
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from simlm.data.collection import Collection, Passage, Query
from simlm.data.ids import duplicated, text_key, unfit
from simlm.data.own_passages import queries_in_corpus
from simlm.errors import UserError

Row = TypeVar("Row", Passage, Query)
LARGEST_GRADE = 1000
"""The largest grade, and below 0 the smallest. Real ones go to ten or so; trec_eval takes memory and time in proportion
to the grade, and measures nothing right beyond 32 bits."""
Place = Callable[[int], str]
"""What a line begins with that is about the row in a place: the file and line where that is known."""


def validate(collection: Collection) -> None:
    """Refuse a collection that breaks a rule; read all of it, keep none of it.

    Memory holds 8 bytes a passage: ids are compared by a 64-bit key. What looks like a duplicate is then compared as
    text; an unknown passage passes for a known one with a probability of n / 2^64.

    Raises:
        UserError: For the first of these, with file and line where they are known, the id, and the way out: an id that
            is empty, comes twice, or does not fit a run file (`simlm.data.ids.unfit`); an id or a text that is a number
            or nothing; a query without text; a qrel or a negative for an unknown query or
            passage; a grade that is no whole number or beyond ``LARGEST_GRADE``; a split without a relevant passage;
            text that is not UTF-8; a truncated file.
    """
    files = collection.files
    of_passage = (lambda number: collection.name) if files is None else files.place_of_passage
    keys = _checked_ids(collection.name, "passage", collection.passages, of_passage)
    if not keys:
        raise UserError(f"{of_passage(0)}: there is no passage; add some")
    known = np.sort(np.frombuffer(keys, dtype=np.uint64))
    for split in collection.splits:
        _check_split(collection, split, known)


def check_room(collection: Collection, needed: int, keep_own: bool = False) -> None:
    """Raise UserError for a train or valid query beside whose relevant passages fewer than ``needed`` others remain.

    ``needed`` is what a list of negatives takes (`simlm.scales.settings.NegativesSettings`). A query's own passage is
    no negative unless it is kept (`simlm.data.own_passages`). No more passages are read than tell.
    """
    for split in ("train", "valid"):
        counts = {query: len(relevant) for query, relevant in collection.relevant(split).items()}
        enough = needed + max(counts.values()) + 1
        passages = sum(1 for _ in islice(collection.passages(), enough))
        if passages == enough:
            continue
        own = set() if keep_own else queries_in_corpus(collection, split)
        query = max(counts, key=lambda one: counts[one] + (one in own))
        left = passages - counts[query] - (query in own)
        if left < needed:
            files = collection.files
            where = f"{collection.name}/{split}" if files is None else files.place_of_judgement(split, query)
            raise UserError(
                f"{where}: query {_shown(query)} of {split} has {counts[query]:,} relevant passages"
                f"{' and is a passage itself' if query in own else ''}, which leaves {left:,} of {passages:,} for its "
                f"list of negatives, and that needs {needed:,}; add passages, or remove the query from this split"
            )


def _check_split(collection: Collection, split: str, known: np.ndarray) -> None:
    where, files = f"{collection.name}/{split}", collection.files

    def of_query(number: int) -> str:
        return where if files is None else files.place_of_query(split, number)

    def of_qrel(query: str, passage: str | None = None) -> str:
        return where if files is None else files.place_of_judgement(split, query, passage)

    queries = frozenset(_checked_ids(where, "query", lambda: collection.queries(split), of_query))
    relevant, least = False, collection.relevant_grade(split)
    for query, judged in collection.qrels(split).items():
        _check_named(of_qrel, "qrel", query, list(judged), queries, known)
        for passage, grade in judged.items():
            if not isinstance(grade, int | np.integer):
                raise UserError(
                    f"{of_qrel(query, passage)}: the qrel of query {_shown(query)} and passage {_shown(passage)} has "
                    f"the grade {_shown(grade)}; make it a whole number"
                )
            if abs(grade) > LARGEST_GRADE:
                raise UserError(
                    f"{of_qrel(query, passage)}: the qrel of query {_shown(query)} and passage {_shown(passage)} has "
                    f"the grade {str(grade)[:40]}; give grades from -{LARGEST_GRADE} to {LARGEST_GRADE}"
                )
        relevant = relevant or any(grade >= least for grade in judged.values())
    # Answers also come with queries that models train on; in place of qrels they stand for test alone.
    if not relevant and not (split == "test" and split in collection.answers):
        raise UserError(
            f"{where}: no query has a relevant passage, one with a score of {least} or more; add some to its qrels"
        )
    for query, rows in groupby(collection.distinct_negatives(split), key=itemgetter(0)):
        _check_named(lambda *_: where, "negative", query, [passage for _, passage in rows], queries, known)


def _check_named(
    place: Callable[..., str],
    what: str,
    query: Any,
    passages: Sequence[Any],
    queries: frozenset[int],
    known: np.ndarray,
) -> None:
    """Refuse a query or passages that qrels or negatives name, and that are no texts or not there."""
    if not isinstance(query, str) or text_key(query) not in queries:
        raise UserError(f"{place(query)}: a {what} names the unknown query {_shown(query)}; remove it or add the query")
    texts = [passage if isinstance(passage, str) else "" for passage in passages]  # no passage has an empty id
    keys = np.array([text_key(text) for text in texts], dtype=np.uint64)
    found = np.searchsorted(known, keys)
    for passage, key, at in zip(passages, keys, found.tolist(), strict=True):
        if at == len(known) or known[at] != key:
            raise UserError(
                f"{place(query, passage)}: a {what} of query {_shown(query)} names the unknown passage "
                f"{_shown(passage)}; remove it or add the passage"
            )


def _checked_ids(where: str, kind: str, rows: Callable[[], Iterable[Row]], place: Place) -> "array[int]":
    """Return the keys of all ids, each row checked; ``rows`` is read again only to name a duplicate."""
    keys = array("Q")
    for number, row in enumerate(_readable(where, kind, rows())):
        _check_row(place, kind, number, row)
        keys.append(text_key(row.id))
    suspects = duplicated(keys)
    seen: set[str] = set()
    for number, row in enumerate(rows() if suspects else ()):
        if text_key(row.id) in suspects:
            if row.id in seen:
                raise UserError(
                    f"{place(number)}: the {kind} id {_shown(row.id)} comes twice; give every {kind} its own id"
                )
            seen.add(row.id)
    return keys


def _check_row(place: Place, kind: str, number: int, row: Passage | Query) -> None:
    for field, value in zip(row._fields, row, strict=True):
        if not isinstance(value, str):
            raise UserError(
                f"{place(number)}: the {kind} in place {number + 1} ({_shown(row.id)}) has the {field} "
                f"{_shown(value)}, which is no text; make it one"
            )
    if not row.id.strip():
        raise UserError(f"{place(number)}: the {kind} in place {number + 1} has an empty id; give it one")
    for field, value in zip(row._fields, row, strict=True):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise UserError(
                f"{place(number)}: the {field} of {kind} {_shown(row.id)} is not UTF-8; save its file as UTF-8"
            ) from None
    if reason := unfit(row.id):
        raise UserError(f"{place(number)}: the {kind} id {_shown(row.id)} {reason}; give another one")
    if isinstance(row, Query) and not row.text.strip():
        raise UserError(f"{place(number)}: query {_shown(row.id)} has no text; remove it or give it one")


def _readable(where: str, kind: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows; raise UserError, naming the last good row, where the file is damaged."""
    last = "the start"
    try:
        for row in rows:
            yield row
            last = f"{kind} {_shown(row.id)}"
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8 after {last}; save its file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{where}: the file is truncated or damaged after {last}; fetch it again") from None


def _shown(value: Any) -> str:
    return json.dumps(value, default=repr)[:200]
