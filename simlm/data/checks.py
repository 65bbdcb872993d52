"""Every rule that a collection has to keep, checked before anything is written."""

import gzip
import json
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from simlm.data.ids import digest, duplicated
from simlm.data.source import Collection, Passage, Query
from simlm.errors import UserError

Row = TypeVar("Row", Passage, Query)


def validate(collection: Collection) -> None:
    """Raises UserError for the first rule that the collection breaks; reads all of it, keeps none of it.

    Refused are: an empty id, one with white space (a run file could not hold it) or one that comes twice; an id or a
    text that is none, but a number or nothing; a query without text; a qrel or a negative for an unknown query or
    passage; text that is not UTF-8; a file that is truncated. The line names the collection, the id, and the way out.

    Memory: 8 bytes a passage (ids are compared by a 64-bit digest; what looks like a duplicate is then
    compared as text, and an unknown passage passes for a known one with a probability of n / 2^64).
    """
    where = collection.name
    keys = _checked_ids(where, "passage", collection.passages)
    known = np.sort(np.frombuffer(keys, dtype=np.uint64)) if keys else np.empty(0, dtype=np.uint64)
    for split in collection.splits:
        _check_split(collection, split, known)


def _check_split(collection: Collection, split: str, known: np.ndarray) -> None:
    where = f"{collection.name}/{split}"
    queries = frozenset(_checked_ids(where, "query", lambda: collection.queries(split)))
    for query, judged in collection.qrels(split).items():
        _check_named(where, "qrel", query, list(judged), queries, known)
        for passage, grade in judged.items():
            if not isinstance(grade, int | np.integer):
                raise UserError(
                    f"{where}: the qrel of query {_shown(query)} and passage {_shown(passage)} has the grade "
                    f"{_shown(grade)}; make it a whole number"
                )
    for query, rows in groupby(collection.negatives_named(split), key=itemgetter(0)):
        _check_named(where, "negative", query, [passage for _, passage in rows], queries, known)


def _check_named(
    where: str, what: str, query: Any, passages: Sequence[Any], queries: frozenset[int], known: np.ndarray
) -> None:
    """A query and passages that qrels or negatives name must be texts, and be there."""
    if not isinstance(query, str) or digest(query) not in queries:
        raise UserError(f"{where}: a {what} names the unknown query {_shown(query)}; remove it or add the query")
    texts = [passage if isinstance(passage, str) else "" for passage in passages]  # no passage has an empty id
    keys = np.array([digest(text) for text in texts], dtype=np.uint64)
    places = np.searchsorted(known, keys)
    for passage, key, place in zip(passages, keys, places.tolist(), strict=True):
        if place == len(known) or known[place] != key:
            raise UserError(
                f"{where}: a {what} of query {_shown(query)} names the unknown passage {_shown(passage)}; "
                "remove it or add the passage"
            )


def _checked_ids(where: str, kind: str, rows: Callable[[], Iterable[Row]]) -> "array[int]":
    """The digests of all ids, each row checked; `rows` is read again only to name a duplicate."""
    keys = array("Q")
    for number, row in enumerate(_readable(where, kind, rows())):
        _check_row(where, kind, number, row)
        keys.append(digest(row.id))
    suspects = duplicated(keys)
    seen: set[str] = set()
    for row in rows() if suspects else ():
        if digest(row.id) in suspects:
            if row.id in seen:
                raise UserError(f"{where}: the {kind} id {_shown(row.id)} comes twice; give every {kind} its own id")
            seen.add(row.id)
    return keys


def _check_row(where: str, kind: str, number: int, row: Passage | Query) -> None:
    for field, value in zip(row._fields, row, strict=True):
        if not isinstance(value, str):
            raise UserError(
                f"{where}: the {kind} in place {number + 1} ({_shown(row.id)}) has the {field} {_shown(value)}, "
                "which is no text; make it one"
            )
    if not row.id.strip():
        raise UserError(f"{where}: the {kind} in place {number + 1} has an empty id; give it one")
    for field, value in zip(row._fields, row, strict=True):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise UserError(
                f"{where}: {kind} {_shown(row.id)} has a {field} that is not UTF-8; save its file as UTF-8"
            ) from None
    if len(row.id.split()) != 1 or row.id != row.id.strip():
        raise UserError(f"{where}: the {kind} id {_shown(row.id)} holds white space; replace it, by _ for instance")
    if isinstance(row, Query) and not row.text.strip():
        raise UserError(f"{where}: query {_shown(row.id)} has no text; remove it or give it one")


def _readable(where: str, kind: str, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with a file's defect turned into one line that says after which row it lies."""
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
