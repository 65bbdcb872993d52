"""Lists told apart by answers, and sets of them, against an obvious loop over made-up runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.errors import UserError
from simlm.finetuning.answered import answered_lists, concatenated, shuffled
from simlm.finetuning.negatives import NegativeLists
from simlm.retrieval.runs import PADDING, Run

QUERIES, PASSAGES = 5, 30
Made = tuple[Run, np.ndarray, dict[int, list[int]]]
Lists = list[tuple[int, list[int], list[int]]]


@st.composite
def runs(draw: st.DrawFn) -> Made:
    """A run with ties and empty places, which of its places hold an answer, and each query's labelled passages."""
    depth = draw(st.integers(2, 9))
    indices = np.full((QUERIES, depth), PADDING, dtype=np.int64)
    scores = np.full((QUERIES, depth), -np.inf, dtype=np.float32)
    numbers = st.integers(0, PASSAGES - 1)
    for row in range(QUERIES):
        found = draw(st.lists(numbers, max_size=depth, unique=True))
        indices[row, : len(found)] = found
        values = draw(st.lists(st.integers(0, 4), min_size=len(found), max_size=len(found)))
        scores[row, : len(found)] = sorted(values, reverse=True)
    hits = np.array(draw(st.lists(st.booleans(), min_size=indices.size, max_size=indices.size))).reshape(indices.shape)
    labelled = {row: draw(st.lists(numbers, max_size=2, unique=True)) for row in range(QUERIES)}
    return Run([f"q{row}" for row in range(QUERIES)], indices, scores), hits, labelled


def obvious(made: Made, total: int) -> Lists:
    """(query, positives, negatives), passage by passage."""
    run, hits, labelled = made
    lists = []
    for query in range(QUERIES):
        positives = [(passage, 1000.0) for passage in labelled[query]]
        negatives = []
        for place in range(min(total, run.indices.shape[1])):
            passage, score = int(run.indices[query, place]), float(run.scores[query, place])
            if passage == PADDING or passage in labelled[query]:
                continue
            (positives if hits[query, place] else negatives).append((passage, score))
        if not positives or not negatives:
            continue
        best = max(score for _, score in negatives)
        kept = [
            passage
            for number, (passage, score) in enumerate(positives)
            if number == 0 or score >= positives[0][1] or score > best
        ]
        lists.append((query, kept, [passage for passage, _ in negatives]))
    return lists


def build(made: Made, total: int) -> NegativeLists:
    return answered_lists(made[0], made[1], lambda query: np.array(made[2][query], dtype=np.int64), total)


def read(lists: NegativeLists) -> Lists:
    return [
        (int(query), lists.positives_of(j).tolist(), [one for one in lists.negatives[j].tolist() if one != PADDING])
        for j, query in enumerate(lists.queries)
    ]


@given(runs(), st.integers(1, 12))
def test_a_set_is_the_obvious_loops(made: Made, total: int) -> None:
    expected = obvious(made, total)
    if not expected:
        with pytest.raises(UserError, match="no query has both a passage with an answer and one without"):
            build(made, total)
        return
    lists = build(made, total)
    assert read(lists) == expected
    assert lists.negatives.shape == (len(expected), total) and lists.negatives.dtype == np.int64


@given(runs(), st.integers(0, 9000))
def test_negatives_are_shuffled_a_question_at_a_time(made: Made, seed: int) -> None:
    if not obvious(made, 8):
        return
    lists = build(made, 8)
    found = read(shuffled(lists, seed))
    for (query, positives, negatives), one in zip(read(lists), found, strict=True):
        order = np.random.default_rng([seed, query]).permutation(len(negatives))
        assert one == (query, positives, [negatives[place] for place in order])
    assert read(lists) == obvious(made, 8), "the given lists stay"


@given(runs(), runs(), st.integers(0, 9000), st.integers(1, 5), st.integers(1, 4))
def test_sets_together_are_all_lists_and_their_windows(
    first: Made, second: Made, seed: int, epochs: int, size: int
) -> None:
    expected = [obvious(first, 8), obvious(second, 6)]
    if not all(expected):
        return
    lists = concatenated([build(first, 8), build(second, 6)])
    both = sorted([*expected[0], *expected[1]], key=lambda one: one[0])  # stable: the first set's before the second's
    assert read(lists) == both and lists.total == 8
    n, pairs = 6, set()
    for j, (query, positives, negatives) in enumerate(both):
        for epoch in range(epochs):
            place = (epoch + seed) * (n - 1)
            shown = [negatives[(place + step) % len(negatives)] for step in range(n - 1)]
            group = [positives[(epoch + seed) % len(positives)], *shown]
            assert lists.group(j, epoch, seed, n).tolist() == group
            pairs |= {(query, passage) for passage in group}
    blocks = lists.blocks(size)
    assert [stop for _, stop in blocks[:-1]] == [start for start, _ in blocks[1:]]
    assert blocks[0][0] == 0 and blocks[-1][1] == len(lists)
    drawn = [lists.drawn(epochs, seed, n, *block) for block in blocks]
    found = [pair for query, passage in drawn for pair in zip(query.tolist(), passage.tolist(), strict=True)]
    assert found == sorted(pairs), "each pair once, in order, whichever of a query's lists draw it"
