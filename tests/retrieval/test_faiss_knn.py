"""Exact search by faiss: a stable sort of all scores where they are exact, and torch's run up to rounding elsewhere."""

import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simlm.errors import UserError
from simlm.retrieval.faiss_knn import MOST_ON_GPU, check_faiss, faiss_nearest
from simlm.retrieval.search import search, search_together
from tests.retrieval.test_search import brute_force, stored


def check_same_run(
    queries: np.ndarray, passages: np.ndarray, run: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> None:
    """Scores equal up to rounding, and another passage at a place only where its true score is that near."""
    norms = np.linalg.norm(queries, axis=1)[:, None] * max(np.linalg.norm(passages, axis=1))
    (scores, indices), (expected_scores, expected_indices) = run, other
    there = np.isfinite(expected_scores)
    assert np.array_equal(np.isfinite(scores), there) and np.array_equal(indices >= 0, there)
    near = 1e-5 * np.broadcast_to(norms, scores.shape)
    assert (np.abs(scores[there] - expected_scores[there]) <= near[there]).all()
    exact = queries.astype(np.float64) @ passages.astype(np.float64).T
    moved = np.take_along_axis(exact, indices, 1) - np.take_along_axis(exact, expected_indices, 1)
    assert (np.abs(moved)[there] <= near[there]).all()
    for row, values, found in zip(there, scores, indices, strict=True):
        kept, of_equal = found[row], np.diff(values[row]) == 0
        assert len(set(kept.tolist())) == len(kept)
        assert (np.diff(values[row]) <= 0).all() and (np.diff(kept)[of_equal] > 0).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    passages=st.integers(1, 60),
    queries=st.integers(1, 30),
    width=st.integers(1, 4),
    k=st.integers(1, 70),
    shard_size=st.integers(1, 61),
    query_block=st.integers(1, 31),
    passage_block=st.integers(1, 61),
    dtype=st.sampled_from([np.float32, np.float16]),
)
def test_a_stable_sort_of_all_scores(
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
    """Small integers: every score is exact in float32, and many are equal. faiss has other ways from 20 queries on."""
    random = np.random.default_rng(seed)
    corpus = random.integers(-1, 2, (passages, width)).astype(dtype)
    asked = random.integers(-1, 2, (queries, width)).astype(np.float32)
    embeddings = stored(tmp_path_factory.mktemp("search"), corpus, shard_size)
    scores, indices = search(asked, embeddings, k, "cpu", query_block, passage_block, faiss=True)
    expected_scores, expected_indices = brute_force(asked, corpus, k)
    assert scores.dtype == np.float32 and indices.dtype == np.int64
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(scores, expected_scores)


@given(
    seed=st.integers(0, 2**32 - 1),
    different=st.integers(1, 40),
    copies=st.integers(1, 4),
    queries=st.integers(1, 30),
    width=st.integers(1, 40),
    k=st.integers(1, 120),
    shard_size=st.integers(1, 161),
    passage_block=st.integers(1, 161),
)
def test_the_run_of_torch(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    different: int,
    copies: int,
    queries: int,
    width: int,
    k: int,
    shard_size: int,
    passage_block: int,
) -> None:
    """Of real vectors, some of which stand in the collection several times."""
    random = np.random.default_rng(seed)
    corpus = np.repeat(random.standard_normal((different, width)), copies, axis=0).astype(np.float32)
    random.shuffle(corpus)
    asked = random.standard_normal((queries, width)).astype(np.float32)
    embeddings = stored(tmp_path_factory.mktemp("search"), corpus, shard_size)
    run, other = (
        search(asked, embeddings, k, passage_block=passage_block, query_block=25, faiss=one) for one in (True, False)
    )
    check_same_run(asked, corpus, run, other)


@pytest.mark.parametrize("k", [1, 99, 100, 1000])
def test_all_scores_equal_at_the_kth_place_of_a_wide_tile(tmp_path: Path, k: int) -> None:
    """With 100 places and more faiss collects them in another way."""
    corpus = np.zeros((5000, 2), dtype=np.float32)
    corpus[4000] = 1
    for queries in (1, 30):
        asked = np.ones((queries, 2), dtype=np.float32)
        scores, indices = search(asked, stored(tmp_path, corpus, 10_000), k, faiss=True)
        assert indices.tolist() == [[4000, *range(k - 1)]] * queries
        assert scores.tolist() == [[2.0] + [0.0] * (k - 1)] * queries


@pytest.mark.parametrize("k", [50, 200])
def test_real_vectors_give_the_brute_force_order(tmp_path: Path, k: int) -> None:
    random = np.random.default_rng(1)
    corpus = random.standard_normal((1000, 16)).astype(np.float32)
    asked = random.standard_normal((40, 16)).astype(np.float32)
    run = search_together(asked, stored(tmp_path, corpus, 700), k, query_block=32, faiss=True)
    check_same_run(asked, corpus, run, brute_force(asked, corpus, k))


def test_products_too_large_for_float32(tmp_path: Path) -> None:
    """faiss leaves a place empty rather than give a passage whose score is minus infinity."""
    corpus = np.array([[1e30], [-1e30], [2], [1e30], [1], [-2]], dtype=np.float32)
    embeddings = stored(tmp_path, corpus, 6)
    for k in range(1, 7):
        run, other = (search(np.array([[-1e30]], np.float32), embeddings, k, faiss=one) for one in (True, False))
        np.testing.assert_array_equal(run, other)


def test_faiss_takes_the_threads_that_torch_has() -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            faiss_nearest("cpu", 1)(torch.ones(1, 2), torch.ones(3, 2), 1)
            assert faiss.omp_get_max_threads() == count
    finally:
        torch.set_num_threads(threads)


def test_faiss_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    check_faiss("cpu")
    with pytest.raises(UserError, match=r"cannot compute on a GPU here: pip uninstall faiss-cpu, then pip .*\[gpu\]"):
        check_faiss("cuda:1")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"--search faiss: faiss cannot be imported .*: pip install .*\[cpu\]"):
        check_faiss("cpu")


def test_a_gpu_finds_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    faiss_nearest("cuda", MOST_ON_GPU)
    with pytest.raises(UserError, match="2,048 passages a query, and on a GPU faiss finds 2,047 at most; choose"):
        faiss_nearest("cuda", MOST_ON_GPU + 1)


@pytest.mark.gpu
@pytest.mark.parametrize("k", [1, 100, MOST_ON_GPU])
def test_the_same_on_a_gpu(tmp_path: Path, k: int) -> None:
    if faiss.get_num_gpus() < 1:
        pytest.skip("needs faiss with GPU support: the extra gpu")
    random = np.random.default_rng(2)
    corpus = random.integers(-2, 3, (5_000, 8)).astype(np.float32)
    asked = random.integers(-2, 3, (70, 8)).astype(np.float32)
    run = search(asked, stored(tmp_path / "exact", corpus, 3_000), k, "cuda", 32, 2_500, faiss=True)
    np.testing.assert_array_equal(run, brute_force(asked, corpus, k))
    corpus = random.standard_normal((5_000, 128)).astype(np.float32)
    asked = random.standard_normal((70, 128)).astype(np.float32)
    run = search(asked, stored(tmp_path / "real", corpus, 3_000), k, "cuda", 32, 2_500, faiss=True)
    check_same_run(asked, corpus, run, brute_force(asked, corpus, k))
