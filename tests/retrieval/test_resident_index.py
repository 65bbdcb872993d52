"""Queries one at a time over a resident index: what the search over all finds, and nothing is opened again."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from simlm.retrieval.search import resident_index, search_tiles
from tests.retrieval.test_search import WAYS, brute_force, stored


def check(folder: Path, dtype: type, device: str, faiss: bool = False) -> list[tuple[int, torch.Tensor]]:
    """Small integers, whose scores are exact, in tiles of 40; the tiles."""
    random = np.random.default_rng(3)
    corpus = random.integers(-2, 3, (250, 6)).astype(dtype)
    queries = random.integers(-2, 3, (9, 6)).astype(np.float32)
    expected = brute_force(queries, corpus, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiles = resident_index(stored(folder, corpus, 100), device, 40)
    shutil.rmtree(folder)
    for number in range(len(queries)):
        found = search_tiles(queries[number : number + 1], tiles, 30, device, faiss=faiss)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs[number : number + 1])
    return tiles


@WAYS
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_each_query_alone(tmp_path: Path, dtype: type, faiss: bool) -> None:
    tiles = check(tmp_path / "vectors", dtype, "cpu", faiss)
    assert [first for first, _ in tiles] == [0, 40, 80, 100, 140, 180, 200, 240]


@pytest.mark.gpu
@pytest.mark.parametrize("free", [10_000, 7_000])
def test_a_gpu_holds_what_it_has_room_for(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """250 vectors of 6 times 4 bytes are 6,000, of which 80 % of the free memory may be taken."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 0))
    tiles = check(tmp_path / "vectors", np.float32, "cuda")
    assert {tile.device.type for _, tile in tiles} == {"cuda" if free == 10_000 else "cpu"}
