"""Two processes leave what one does of a published system with prompts, titles and two encoders, to the bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.released import SearchReleased
from simlm.data.tokenizer import load_tokenizer
from simlm.data.tokens import build_token_store
from tests.baselines import two_processes
from tests.baselines.repositories import bert
from tests.baselines.two_processes import DEPTH, PASSAGES, QUERIES, searched
from tests.pairs import run_pair

TIMES = {"encode_seconds", "passages_per_second", "latency_ms"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, stores, and what one process and two have made of them."""
    folder = tmp_path_factory.mktemp("shared")
    for seed, name in enumerate(("passages", "queries")):
        bert(folder / name, seed)
    tokenizer = load_tokenizer(folder / "passages")
    passages = ((str(n), f"title {n % 7}" if n % 3 else "", f"text {n}") for n in range(PASSAGES))
    build_token_store(passages, tokenizer, folder / "stores" / "passages", has_titles=True)
    queries = ((f"q{n}", "", f"dev {7 * n}") for n in range(QUERIES))
    build_token_store(queries, tokenizer, folder / "stores" / "test", has_titles=False)
    run_pair(two_processes.__name__, folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (folder / "figures.json").write_text(json.dumps(searched(folder, folder / "one")))
    torch.set_num_threads(threads)
    return folder


def figures(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return content


def test_the_vectors_are_those_of_one_process(folder: Path) -> None:
    one, two = folder / "one" / "passages", folder / "two" / "passages"
    assert sorted(path.name for path in two.iterdir()) == ["embeddings.json", "shard-00000.npy"]
    assert all((two / path.name).read_bytes() == path.read_bytes() for path in one.iterdir())


def test_the_run_is_that_of_one_process_and_of_every_product(folder: Path) -> None:
    with np.load(folder / "one" / "test.npz") as one, np.load(folder / "two" / "test.npz") as two:
        assert all(np.array_equal(two[name], one[name]) for name in ("ids", "scores", "indices"))
        scores, indices, ids = two["scores"], two["indices"], two["ids"].tolist()
    assert ids == [f"q{n}" for n in range(QUERIES)] and indices.shape == (QUERIES, DEPTH)
    passages = np.load(folder / "two" / "passages" / "shard-00000.npy").astype(np.float64)
    queries = np.load(folder / "two.work" / "queries-test" / "shard-00000.npy").astype(np.float64)
    products = queries @ passages.T
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :DEPTH], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(products, indices, axis=1), scores, atol=1e-5)


def test_the_first_has_the_figures_of_one_process(folder: Path) -> None:
    one, first, second = (figures(folder, name) for name in ("figures", "figures-0", "figures-1"))
    assert one.keys() == first.keys() >= TIMES and all(first[name] > 0 for name in TIMES)
    assert {name: first[name] for name in first if name not in TIMES} == {
        name: one[name] for name in one if name not in TIMES
    }
    assert second.keys() == first.keys() - {"latency_ms", "test queries"}  # it has left no run


def test_published_systems_stages_are_shared() -> None:
    assert SearchReleased.shared
