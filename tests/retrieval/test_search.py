import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.errors import UserError
from simlm.retrieval.encode import KIND, MARKER, Embeddings
from simlm.retrieval.search import search


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


@given(
    seed=st.integers(0, 2**32 - 1),
    passages=st.integers(1, 60),
    queries=st.integers(1, 7),
    width=st.integers(1, 4),
    k=st.integers(1, 70),
    shard_size=st.integers(1, 61),
    query_block=st.integers(1, 8),
    passage_block=st.integers(1, 61),
    dtype=st.sampled_from([np.float32, np.float16]),
)
def test_search_is_a_stable_sort_of_all_scores(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    passages: int,
    queries: int,
    width: int,
    k: int,
    shard_size: int,
    query_block: int,
    passage_block: int,
    dtype: type,
) -> None:
    """Small integers: every score is exact in float32, and many are equal."""
    random = np.random.default_rng(seed)
    corpus = random.integers(-1, 2, (passages, width)).astype(dtype)
    asked = random.integers(-1, 2, (queries, width)).astype(np.float32)
    embeddings = stored(tmp_path_factory.mktemp("search"), corpus, shard_size)
    scores, indices = search(asked, embeddings, k, "cpu", query_block, passage_block)
    expected_scores, expected_indices = brute_force(asked, corpus, k)
    assert scores.dtype == np.float32 and indices.dtype == np.int64
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(scores, expected_scores)


def test_all_scores_equal_at_the_kth_place_of_a_wide_tile(tmp_path: Path) -> None:
    corpus = np.zeros((5000, 2), dtype=np.float32)
    corpus[4000] = 1
    embeddings = stored(tmp_path, corpus, 10_000)
    scores, indices = search(np.ones((1, 2), dtype=np.float32), embeddings, 100)
    assert indices[0].tolist() == [4000, *range(99)]
    assert scores[0].tolist() == [2.0] + [0.0] * 99


def test_real_vectors_give_the_brute_force_order(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    corpus = random.standard_normal((1000, 16)).astype(np.float32)
    asked = random.standard_normal((20, 16)).astype(np.float32)
    scores, indices = search(asked, stored(tmp_path, corpus, 300), 50, passage_block=128, query_block=8)
    expected_scores, expected_indices = brute_force(asked, corpus, 50)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)


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
