from pathlib import Path

import numpy as np
import pytest

from simlm.retrieval.rerank import rerank
from simlm.retrieval.runs import Run, read_run, write_run
from tests.retrieval.names import Names

RUN = Run(
    ["a", "b"],
    np.array([[4, 0, 3, 1, 2], [2, 1, -1, -1, -1]]),
    np.array([[0.9, 0.8, 0.7, 0.6, 0.5], [0.4, 0.3, -np.inf, -np.inf, -np.inf]], dtype=np.float32),
)


def by_table(table: dict[tuple[int, int], float]):
    return lambda queries, passages: np.array(
        [table[pair] for pair in zip(queries.tolist(), passages.tolist(), strict=True)], dtype=np.float32
    )


def test_the_top_is_ordered_anew_and_the_rest_follows(tmp_path: Path) -> None:
    # Passages 4 and 3 tie: the retriever had 4 first, which the smaller index would not.
    new = {(0, 4): 1.0, (0, 0): -7.0, (0, 3): 1.0, (1, 2): -5.0, (1, 1): 5.0}
    got = rerank(RUN, 3, by_table(new))
    assert got.indices.tolist() == [[4, 3, 0, 1, 2], [1, 2, -1, -1, -1]]
    assert got.scores[0, 0] == 1 and got.scores[0, 2] == -7
    assert (np.diff(got.scores[0]) < 0).all()
    assert got.scores[1].tolist() == [5, -5, -np.inf, -np.inf, -np.inf]
    path, names = tmp_path / "a.run", Names("01234")
    write_run(path, got, names, "tag")
    assert read_run(path, ["a", "b"], names).indices.tolist() == got.indices.tolist()


def test_the_rest_keeps_its_scores_where_they_lie_below() -> None:
    new = {(0, 4): 8.0, (0, 0): 9.0, (1, 2): 1.0, (1, 1): 2.0}
    got = rerank(RUN, 2, by_table(new))
    assert got.indices[0].tolist() == [0, 4, 3, 1, 2]
    np.testing.assert_array_equal(got.scores[0], np.array([9, 8, 0.7, 0.6, 0.5], dtype=np.float32))


def test_a_depth_beyond_the_run() -> None:
    new = {(row, index): float(index) for row in range(2) for index in range(5)}
    assert rerank(RUN, 99, by_table(new)).indices.tolist() == [[4, 3, 2, 1, 0], [2, 1, -1, -1, -1]]


def test_nan() -> None:
    with pytest.raises(ValueError, match="NaN"):
        rerank(RUN, 2, lambda queries, passages: np.full(len(queries), np.nan, np.float32))
