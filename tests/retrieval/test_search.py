import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.errors import UserError
from simlm.retrieval.embeddings import KIND, MARKER, Embeddings
from simlm.retrieval.search import search, search_together

WAYS = pytest.mark.parametrize("faiss", [False, True], ids=["torch", "faiss"])
"""What finds the best of a tile."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a search: shards and blocks may hold more than there is, and k may be more than the passages."""

    passages: int
    queries: int
    width: int
    k: int
    shard_size: int
    query_block: int
    passage_block: int


def shapes(width: int) -> st.SearchStrategy[Shape]:
    """Small ones of at most that width. faiss has other ways from 20 queries on, and from 100 places on."""
    sizes = {"passages": 150, "queries": 30, "width": width, "k": 160}
    sizes |= {"shard_size": 151, "query_block": 31, "passage_block": 151}
    return st.builds(Shape, **{name: st.integers(1, most) for name, most in sizes.items()})


def stored(folder: Path, vectors: np.ndarray, shard_size: int) -> Embeddings:
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(vectors), shard_size)):
        np.save(folder / f"shard-{number:05d}.npy", vectors[start : start + shard_size])
    meta = {"format": KIND, "rows": len(vectors), "dim": vectors.shape[1], "shard_size": shard_size}
    (folder / MARKER).write_text(json.dumps(meta))
    return Embeddings.open(folder)


def brute_force(queries: np.ndarray, passages: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    indices = np.full((len(queries), k), -1)
    best = np.full((len(queries), k), -np.inf)
    for row, values in enumerate(scores):
        order = np.lexsort((np.arange(len(values)), -values))[:k]
        indices[row, : len(order)], best[row, : len(order)] = order, values[order]
    return best, indices


def check_near(queries: np.ndarray, passages: np.ndarray, run: tuple[np.ndarray, np.ndarray]) -> None:
    """A run's scores are those of brute force up to rounding, and a passage is another one only where its is too."""
    (scores, indices), (expected_scores, expected_indices) = run, brute_force(queries, passages, run[0].shape[1])
    there = np.isfinite(expected_scores)
    assert np.array_equal(np.isfinite(scores), there) and np.array_equal(indices >= 0, there)
    norms = np.linalg.norm(queries, axis=1)[:, None] * max(np.linalg.norm(passages, axis=1))
    near = 1e-5 * np.broadcast_to(norms, scores.shape)
    assert (np.abs(scores[there] - expected_scores[there]) <= near[there]).all()
    exact = queries.astype(np.float64) @ passages.astype(np.float64).T
    moved = np.take_along_axis(exact, indices, 1) - np.take_along_axis(exact, expected_indices, 1)
    assert (np.abs(moved)[there] <= near[there]).all()
    for row, values, found in zip(there, scores, indices, strict=True):
        kept, of_equal = found[row], np.diff(values[row]) == 0
        assert len(set(kept.tolist())) == len(kept)
        assert (np.diff(values[row]) <= 0).all() and (np.diff(kept)[of_equal] > 0).all()


@WAYS
@given(shape=shapes(4), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float16]))
def test_a_stable_sort_of_all_scores(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, seed: int, dtype: type, faiss: bool
) -> None:
    """Small integers: every score is exact in float32, and many are equal."""
    random = np.random.default_rng(seed)
    corpus = random.integers(-1, 2, (shape.passages, shape.width)).astype(dtype)
    asked = random.integers(-1, 2, (shape.queries, shape.width)).astype(np.float32)
    embeddings = stored(tmp_path_factory.mktemp("search"), corpus, shape.shard_size)
    scores, indices = search(asked, embeddings, shape.k, "cpu", shape.query_block, shape.passage_block, faiss)
    expected_scores, expected_indices = brute_force(asked, corpus, shape.k)
    assert scores.dtype == np.float32 and indices.dtype == np.int64
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(scores, expected_scores)


@WAYS
@given(shape=shapes(40), seed=st.integers(0, 2**32 - 1), copies=st.integers(1, 4))
def test_real_vectors(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, seed: int, copies: int, faiss: bool
) -> None:
    """Some of which stand in the collection several times."""
    random = np.random.default_rng(seed)
    different = random.standard_normal((-(-shape.passages // copies), shape.width)).astype(np.float32)
    corpus = np.repeat(different, copies, axis=0)[: shape.passages]
    random.shuffle(corpus)
    asked = random.standard_normal((shape.queries, shape.width)).astype(np.float32)
    embeddings = stored(tmp_path_factory.mktemp("search"), corpus, shape.shard_size)
    check_near(asked, corpus, search(asked, embeddings, shape.k, "cpu", shape.query_block, shape.passage_block, faiss))


@WAYS
@pytest.mark.parametrize("queries", [1, 30])
@pytest.mark.parametrize("k", [1, 99, 100, 1000])
def test_all_scores_equal_at_the_kth_place_of_a_wide_tile(tmp_path: Path, k: int, queries: int, faiss: bool) -> None:
    corpus = np.zeros((5000, 2), dtype=np.float32)
    corpus[4000] = 1
    asked = np.ones((queries, 2), dtype=np.float32)
    scores, indices = search(asked, stored(tmp_path, corpus, 10_000), k, faiss=faiss)
    assert indices.tolist() == [[4000, *range(k - 1)]] * queries
    assert scores.tolist() == [[2.0] + [0.0] * (k - 1)] * queries


@WAYS
@pytest.mark.parametrize("k", [50, 200])
def test_real_vectors_of_a_wide_tile(tmp_path: Path, k: int, faiss: bool) -> None:
    random = np.random.default_rng(1)
    corpus = random.standard_normal((1000, 16)).astype(np.float32)
    asked = random.standard_normal((40, 16)).astype(np.float32)
    run = search_together(asked, stored(tmp_path, corpus, 700), k, query_block=32, faiss=faiss)
    check_near(asked, corpus, run)


def test_no_queries(tmp_path: Path) -> None:
    scores, indices = search(np.empty((0, 2), np.float32), stored(tmp_path, np.ones((3, 2), np.float32), 2), 5)
    assert scores.shape == indices.shape == (0, 5)


def test_bad_vectors(tmp_path: Path) -> None:
    embeddings = stored(tmp_path / "a", np.ones((3, 2), np.float32), 2)
    with pytest.raises(UserError, match="encode both with the same model"):
        search(np.ones((1, 3), np.float32), embeddings, 1)
    with pytest.raises(UserError, match="queries' vectors"):
        search(np.full((1, 2), np.nan, np.float32), embeddings, 1)
    broken = stored(tmp_path / "b", np.full((3, 2), np.inf, np.float32), 2)
    with pytest.raises(UserError, match="a shard of"):
        search(np.ones((1, 2), np.float32), broken, 1)


def test_damaged_embeddings(tmp_path: Path) -> None:
    embeddings = stored(tmp_path, np.ones((5, 2), np.float32), 2)
    (tmp_path / "shard-00001.npy").write_bytes((tmp_path / "shard-00001.npy").read_bytes()[:-4])
    with pytest.raises(UserError, match="shard-00001.npy is missing or damaged"):
        search(np.ones((1, 2), np.float32), embeddings, 1)
    (tmp_path / MARKER).unlink()
    with pytest.raises(UserError, match=MARKER):
        Embeddings.open(tmp_path)
