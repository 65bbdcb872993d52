"""A part of a collection, whatever its source, for a rehearsal: some queries, what is judged for them, some others.

All of the whole's files are read to find it, in their own format: what is wrong with them is found too.
"""

import heapq
from collections.abc import Iterator
from dataclasses import fields
from functools import cache, cached_property, partial
from itertools import islice
from typing import Any

from simlm.data.collection import Collection, Passage, Query
from simlm.data.ids import text_key

QUERIES = 300
"""Of each split: the first that have a relevant passage, or the first where nothing is judged."""
NEGATIVES = 20
"""Passages of each list of negatives that comes with the collection, more than a training takes of it (15 at paper
scale); the lists hold those of the part."""


class Part(Collection):
    """Some queries of each split, all passages judged for them, and ``others`` more, those with the smallest keys.

    Passages and queries stand in the order of the whole. Nothing is read before it is asked for, and once; the part is
    then kept in memory.
    """

    def __init__(self, whole: Collection, others: int) -> None:
        super().__init__(**{one.name: getattr(whole, one.name) for one in fields(whole)})
        self.whole, self.others = whole, others
        self.files = None  # whose numbers of lines are the whole's
        self.answers = {split: partial(self._answers, split) for split in whole.answers}
        self._kept, self._lists = cache(self._kept_of), cache(self._lists_of)  # files of questions are large too

    def passages(self) -> Iterator[Passage]:
        return iter(self._passages[0])

    def queries(self, split: str) -> Iterator[Query]:
        return iter(self._kept(split)[0].values())

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        return self._kept(split)[1]

    def negatives(self, split: str) -> Iterator[tuple[str, list[str]]]:
        lists, known = self._lists(split), self._ids
        return ((query, [id for id in row if id in known]) for query, row in lists)

    def distinct_negatives(self, split: str) -> Iterator[tuple[str, str]]:
        lists = self.negatives(split) if self._has_lists(split) else ()
        return ((query, id) for query, row in lists for id in row)

    def counted(self) -> dict[str, Any]:
        """Return how many passages the whole has, and how many queries each of its splits."""
        queries = {split: sum(1 for _ in self.whole.queries(split)) for split in self.splits}
        return {"passages": self._passages[1], "queries": queries}

    def _kept_of(self, split: str) -> tuple[dict[str, Query], dict[str, dict[str, int]]]:
        """Return the queries of a split by their ids, and what is judged for them."""
        judged, relevant = self.whole.qrels(split), self.whole.relevant(split)
        rows = (one for one in self.whole.queries(split) if relevant.get(one.id) or not judged)
        queries = {one.id: one for one in islice(rows, QUERIES)}
        return queries, {query: row for query, row in judged.items() if query in queries}

    def _lists_of(self, split: str) -> list[tuple[str, list[str]]]:
        kept, _ = self._kept(split)
        return [(query, row) for query, row in self.whole.negatives(split) if query in kept]

    def _has_lists(self, split: str) -> bool:
        return bool(self.whole.dataset(split).has_scoreddocs())

    def _answers(self, split: str) -> Iterator[tuple[str, list[str]]]:
        kept, _ = self._kept(split)
        return (row for row in self.whole.answers[split]() if row[0] in kept)

    @cached_property
    def _passages(self) -> tuple[list[Passage], int]:
        """The part's passages, and the number of the whole's."""
        named = {id for split in self.splits for row in self.qrels(split).values() for id in row}
        for split in filter(self._has_lists, self.splits):
            named |= {id for _, row in self._lists(split) for id in row[:NEGATIVES]}
        wanted: list[tuple[int, Passage]] = []
        others: list[tuple[int, int, Passage]] = []  # a heap, the largest key first
        number = -1
        for number, passage in enumerate(self.whole.passages()):
            if passage.id in named:
                wanted.append((number, passage))
                continue
            put = heapq.heappush if len(others) < self.others else heapq.heappushpop
            put(others, (-text_key(passage.id), number, passage))
        return [passage for _, passage in sorted(wanted + [one[1:] for one in others])], number + 1

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(passage.id for passage in self.passages())
