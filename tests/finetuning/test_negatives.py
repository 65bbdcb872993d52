"""Negative lists and their windows."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from simlm.errors import UserError
from simlm.finetuning.negatives import NegativeLists, build_negative_lists, ready_lists
from simlm.retrieval.runs import Run


class Names:
    """Names q0, q1, ... in their order."""

    def __init__(self, letter: str, count: int) -> None:
        self.places = {f"{letter}{number}": number for number in range(count)}

    def indices(self, ids: Sequence[str], /) -> np.ndarray:
        return np.array([self.places[name] for name in ids], dtype=np.int64)


class Judgments:
    def __init__(self, positives: dict[int, list[int]]) -> None:
        self.by_query = positives

    def positives(self, query_index: int, /) -> np.ndarray:
        return np.array(self.by_query.get(query_index, []), dtype=np.int64)


PASSAGES = 60
RANKED = {
    0: [3, 50, 7, 9, 11, 2, 1, 20, 21, 22, 23],  # 3 and 9 are positives
    1: [5, 4, 6],  # shorter than the depth
    2: [],  # no run
    3: [8, 12, 13, 14],  # no positive
}
QRELS = Judgments({0: [3, 9], 1: [59], 2: [1], 4: [2]})


def run(queries: Sequence[int]) -> Run:
    indices = np.full((len(queries), 11), -1, dtype=np.int64)
    for row, query in zip(indices, queries, strict=True):
        row[: len(RANKED[query])] = RANKED[query]
    return Run([f"q{query}" for query in queries], indices, np.zeros(indices.shape, dtype=np.float32))


def build(queries: Sequence[int] = (0, 1, 2, 3), total: int = 12, seed: int = 5) -> NegativeLists:
    return build_negative_lists(run(queries), Names("q", 5), QRELS, PASSAGES, depth=8, total=total, seed=seed)


def test_lists_hold_the_run_without_positives_and_random_passages() -> None:
    lists = build()
    assert lists.queries.tolist() == [0, 1]  # 2 has no run, 3 no positive, 4 is not in the run
    assert [lists.positives_of(j).tolist() for j in range(2)] == [[3, 9], [59]]
    assert lists.negatives.shape == (2, 12)
    for j, query in enumerate((0, 1)):
        row = set(lists.negatives[j].tolist())
        positives = set(QRELS.by_query[query])
        hard = [passage for passage in RANKED[query] if passage not in positives][:8]
        assert len(row) == 12
        assert not row & positives
        assert row >= set(hard)
        assert not (row - set(hard)) & set(RANKED[query])
        assert all(0 <= passage < PASSAGES for passage in row)


def test_lists_are_shuffled_twice() -> None:
    row = build(total=30).negatives[0].tolist()
    places = [place for place, passage in enumerate(row) if passage in RANKED[0]]
    assert len(places) == 8
    assert max(places) >= 8  # the hard ones are spread among the random ones
    assert [row[place] for place in places] != [50, 7, 11, 2, 1, 20, 21, 22]


def test_a_list_depends_on_seed_and_query_only() -> None:
    alone, reordered = build([1]), build([1, 0])
    assert np.array_equal(alone.negatives[0], build().negatives[1])
    assert np.array_equal(reordered.negatives, build().negatives)
    assert not np.array_equal(build(seed=6).negatives, build().negatives)


def test_random_passages_are_uniform_over_the_rest() -> None:
    drawn = np.concatenate([build([1], total=20, seed=seed).negatives[0] for seed in range(300)])
    counts = np.bincount(drawn, minlength=PASSAGES)
    rest = np.setdiff1d(np.arange(PASSAGES), [59, 4, 5, 6])
    assert counts[59] == 0
    assert counts[[4, 5, 6]].tolist() == [300] * 3
    expected = 300 * 17 / len(rest)
    assert np.abs(counts[rest] - expected).max() < 5 * np.sqrt(expected)


def test_the_whole_rest_can_be_taken_and_no_more() -> None:
    lists = build([1], total=59)
    assert sorted(lists.negatives[0].tolist()) == list(range(59))
    with pytest.raises(UserError, match="needs 57 random passages .* only 56 of 60"):
        build([1], total=60)


def test_a_querys_own_passage_is_no_negative() -> None:
    own = np.array([50, 30, -1, -1, -1])  # in the run; at random
    lists = build_negative_lists(run([0, 1]), Names("q", 5), QRELS, PASSAGES, depth=8, total=56, seed=5, own=own)
    assert all(own[j] not in lists.negatives[j] for j in range(2)) and set(lists.negatives[0]) >= {7, 11, 2, 1, 20}


def test_without_a_run_lists_are_random_where_that_is_asked_for() -> None:
    lists = build_negative_lists(run([2, 3]), Names("q", 5), QRELS, PASSAGES, 8, 12, 5, unranked=True)
    assert lists.queries.tolist() == [2] and lists.positives.tolist() == [1]
    assert len(set(lists.negatives[0].tolist()) - {1}) == 12


def test_ready_lists_are_taken_as_they_are() -> None:
    lists = ready_lists(run([0, 1, 2, 3, 0]), QRELS)  # the fifth query has the list of the first
    assert lists.queries.tolist() == [0, 1, 4] and [lists.positives_of(j).tolist() for j in range(3)] == [
        [3, 9],
        [59],
        [2],
    ]
    for j, query in enumerate((0, 1, 0)):
        row = RANKED[query]  # as the released loader reads it, which masks nothing
        for epoch in range(4):
            shown = [row[((epoch + 7) * 2 + step) % len(row)] for step in range(2)]
            assert lists.group(j, epoch, 7, 3).tolist()[1:] == shown
    with pytest.raises(UserError, match="no query has both"):
        ready_lists(run([3, 3]), Judgments({}))


def test_bad_arguments_are_the_users() -> None:
    with pytest.raises(UserError, match="depth 8"):
        build(total=7)
    with pytest.raises(UserError, match="no query"):
        build([2, 3])
    with pytest.raises(UserError, match="query 'q9'"):
        build_negative_lists(Run(["q9"], np.array([[1]]), np.zeros((1, 1))), Names("q", 5), QRELS, PASSAGES, 8, 12, 0)


def test_a_list_may_repeat_a_passage() -> None:
    repeated = run([0])
    indices = np.concatenate([repeated.indices[:, :4], repeated.indices[:, :1], repeated.indices[:, 1:]], axis=1)
    again = Run(["q0"], indices, np.zeros(indices.shape, dtype=np.float32))
    lists = build_negative_lists(again, Names("q", 5), QRELS, PASSAGES, depth=8, total=12, seed=5)
    assert np.array_equal(lists.negatives[0], build().negatives[0])


def test_the_first_lists() -> None:
    lists = build()
    one = lists.first(1)
    assert len(one) == 1 and np.array_equal(one.group(0, 3, 1, 5), lists.group(0, 3, 1, 5))
    assert len(lists.first(9)) == 2


def test_save_and_open(tmp_path: Path) -> None:
    lists = build()
    lists.save(tmp_path / "lists")
    opened = NegativeLists.open(tmp_path / "lists")
    for name in ("queries", "offsets", "positives", "negatives"):
        assert np.array_equal(getattr(opened, name), getattr(lists, name))
    assert len(opened) == 2
    for copied in (pickle.loads(pickle.dumps(opened)), pickle.loads(pickle.dumps(lists))):
        assert np.array_equal(copied.negatives, lists.negatives)
    assert len(pickle.dumps(opened)) < 1000  # the folder, not the arrays
    with pytest.raises(UserError, match="queries.npy"):
        NegativeLists.open(tmp_path / "none")


def test_a_group_larger_than_the_list_is_refused() -> None:
    with pytest.raises(UserError, match="14 passages a query"):
        build().group(0, 0, 0, 14)
