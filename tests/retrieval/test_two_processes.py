"""Two processes encode and search as one does, to the bit, and go on where they were interrupted."""

from pathlib import Path

import numpy as np
import pytest

from simlm.retrieval.search import search, search_together
from tests.pairs import WORLD, run_pair
from tests.retrieval import two_processes
from tests.retrieval.two_processes import Encode, encoded, found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes left what they have to show."""
    folder = tmp_path_factory.mktemp("two")
    run_pair(two_processes.__name__, folder)
    return folder


@pytest.mark.parametrize("name", ["whole", "killed"])
def test_the_files_are_those_of_one_process(folder: Path, name: str, tmp_path: Path) -> None:
    encoded(tmp_path, Encode())
    expected = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name: path.read_bytes() for path in (folder / name).iterdir()} == expected


def test_each_encodes_its_part_and_no_shard_twice(folder: Path, tmp_path: Path) -> None:
    alone = Encode()
    encoded(tmp_path, alone)
    whole, again = np.array([np.load(folder / f"batches-{place}.npy") for place in range(WORLD)]).T
    assert whole.sum() == alone.seen and max(whole) - min(whole) <= len(list(tmp_path.glob("shard-*")))
    assert (whole - again).tolist() == [5, 5]  # the first shard was there


def test_both_find_what_one_finds(folder: Path, tmp_path: Path) -> None:
    embeddings = encoded(tmp_path, Encode())
    scores, indices = found(embeddings)
    assert len(np.unique(scores)) < scores.size  # there are ties to break
    for place in range(WORLD):
        with np.load(folder / f"{place}.npz") as theirs:
            assert np.array_equal(theirs["scores"], scores) and np.array_equal(theirs["indices"], indices)
            assert np.array_equal(theirs["by_faiss"], [scores, indices])  # sums of small integers have no rounding


def test_one_process_searches_as_ever(tmp_path: Path) -> None:
    embeddings = encoded(tmp_path, Encode())
    queries = np.ones((5, embeddings.dim), dtype=np.float32)
    for ours, theirs in zip(search_together(queries, embeddings, 200), search(queries, embeddings, 200), strict=True):
        assert np.array_equal(ours, theirs)
