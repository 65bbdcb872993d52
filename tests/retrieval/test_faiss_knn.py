"""What is faiss' own in exact search: its limits, threads and GPUs. test_search.py has what it finds, beside torch."""

import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from simlm.errors import UserError
from simlm.retrieval.faiss_knn import MOST_ON_GPU, check_faiss, faiss_nearest
from simlm.retrieval.search import search
from tests.retrieval.test_search import brute_force, check_near, stored


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
    check_near(asked, corpus, run)
