"""Queries that are passages themselves, as in ArguAna and Quora of BEIR: which passage is a query's own.

It has the query's id and the query's text, alone or behind its title; case and white space do not count. Where a record
says that ids are shared (`simlm.data.catalogue.SHARED_IDS`), the id alone is enough; elsewhere equal ids mean nothing,
because queries and passages are often numbered apart. A passage that the qrels call relevant to the query is what is
searched for, and so not its own.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from simlm.data.collection import Collection, Passage, folded
from simlm.data.ids import IdTable, text_key, text_keys
from simlm.data.tokens import TokenStore

NONE = -1


class OwnPassages:
    """Finds the own passages of a collection's queries while its passages are read; some 100 bytes a query."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._places = {
            split: {text_key(query.id): place for place, query in enumerate(collection.queries(split))}
            for split in collection.splits
        }
        self._texts = {
            split: text_keys(folded(query.text) for query in collection.queries(split)) for split in collection.splits
        }
        self._indices: dict[str, npt.NDArray[np.int64]] = {}

    def watch(self, passages: Iterable[Passage]) -> Iterator[Passage]:
        """Yield the passages, in the order of their indices, and note those that are a query's own."""
        for index, passage in enumerate(passages):
            key = text_key(passage.id)
            for split, places in self._places.items():
                if (place := places.get(key)) is not None and self._same(self._texts[split][place], passage):
                    row = self._indices.setdefault(split, np.full(len(places), NONE, dtype=np.int64))
                    row[place] = index
            yield passage

    def _same(self, query_text: int, passage: Passage) -> bool:
        texts = (passage.text, f"{passage.title} {passage.text}")
        return self.collection.shared_ids or query_text in (text_key(folded(text)) for text in texts)

    def of(self, split: str, ids: IdTable | Sequence[str]) -> npt.NDArray[np.int64] | None:
        """Return the index of each query's own passage (Q,), ``NONE`` for a query without; None if no query has one.

        ``ids`` are those of the split's queries. All passages have to be read before.
        """
        own = self._indices.get(split)
        if own is None:
            return None
        relevant = self.collection.relevant(split)
        for place in np.flatnonzero(own != NONE).tolist():
            if ids[place] in relevant.get(ids[place], []):
                own[place] = NONE
        return own if (own != NONE).any() else None


def queries_in_corpus(collection: Collection, split: str) -> set[str]:
    """Return the ids of a split's queries that have an own passage; reads all passages."""
    own = OwnPassages(collection)
    deque(own.watch(collection.passages()), maxlen=0)
    ids = [query.id for query in collection.queries(split)]
    found = own.of(split, ids)
    return set() if found is None else {ids[place] for place in np.flatnonzero(found != NONE).tolist()}


def may_have_own(passages: TokenStore, queries: TokenStore) -> bool:
    """Tell whether a query of a split seems to be a passage, by its id and its pieces: for stores that do not say."""
    for place, id in enumerate(queries.ids):
        try:
            index = passages.ids.index(id)
        except KeyError:
            continue
        title, text, asked = passages.title(index), passages.text(index), queries.text(place)
        if np.array_equal(asked, text) or title is not None and np.array_equal(asked, np.concatenate([title, text])):
            return True
    return False
