"""Two processes leave what one does of a published system, dual encoder or multi-vector, to the bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.released import SearchReleased, SearchTokens
from simlm.data.tokenizer import load_tokenizer
from simlm.data.tokens import build_token_store
from tests.baselines import two_processes
from tests.baselines.repositories import bert, colbert
from tests.baselines.two_processes import DEPTH, PASSAGES, QUERIES, QUESTIONS, TOKEN_DEPTH, searched, searched_by_tokens
from tests.pairs import run_pair

TIMES = {"encode_seconds", "passages_per_second"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, stores, and what one process and two have made of them."""
    folder = tmp_path_factory.mktemp("shared")
    for seed, name in enumerate(("passages", "queries")):
        bert(folder / name, seed)
    colbert(folder / "model")
    tokenizer = load_tokenizer(folder / "passages")
    passages = ((str(n), f"title {n % 7}" if n % 3 else "", f"text {n}") for n in range(PASSAGES))
    build_token_store(passages, tokenizer, folder / "stores" / "passages", has_titles=True)
    queries = ((f"q{n}", "", f"dev {7 * n}") for n in range(QUERIES))
    build_token_store(queries, tokenizer, folder / "stores" / "test", has_titles=False)
    run_pair(two_processes.__name__, folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (folder / "figures.json").write_text(json.dumps(searched(folder, folder / "one")))
    (folder / "token-figures.json").write_text(json.dumps(searched_by_tokens(folder / "model", folder / "tokens-one")))
    torch.set_num_threads(threads)
    return folder


def figures(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return content


@pytest.mark.parametrize(
    ("place", "names"),
    [("{}/passages", ["embeddings.json", "shard-00000.npy"]), ("tokens-{}/index", ["lengths.bin", "vectors.bin"])],
)
def test_the_vectors_are_those_of_one_process(place: str, names: list[str], folder: Path) -> None:
    one, two = folder / place.format("one"), folder / place.format("two")
    assert sorted(path.name for path in two.iterdir()) == names
    assert all((two / path.name).read_bytes() == path.read_bytes() for path in one.iterdir())
    # Nothing is left of how the second told the first.
    assert [path.name for path in (folder / "tokens-two.work").iterdir()] == ["index.json"]


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


@pytest.mark.parametrize("split", QUESTIONS)
def test_the_multi_vector_runs_are_those_of_one_process(split: str, folder: Path) -> None:
    with np.load(folder / "tokens-one" / f"{split}.npz") as one, np.load(folder / "tokens-two" / f"{split}.npz") as two:
        assert two["indices"].shape == (len(QUESTIONS[split]), TOKEN_DEPTH)
        assert all(np.array_equal(two[name], one[name]) for name in ("ids", "scores", "indices"))
        tied = two["scores"][:, 1:] == two["scores"][:, :-1]
        assert tied.any() and (np.diff(two["indices"], axis=1)[tied] > 0).all()


@pytest.mark.parametrize(
    ("name", "times", "of_runs"),
    [
        ("figures", TIMES | {"latency_ms"}, {"latency_ms", "test queries"}),
        ("token-figures", TIMES, {f"{split} queries" for split in QUESTIONS}),
    ],
)
def test_the_first_has_the_figures_of_one_process(name: str, times: set[str], of_runs: set[str], folder: Path) -> None:
    one, first, second = (figures(folder, one) for one in (name, f"{name}-0", f"{name}-1"))
    assert one.keys() == first.keys() >= times and all(first[name] > 0 for name in times)
    assert all(first[name] == one[name] for name in first.keys() - times)
    assert second.keys() == first.keys() - of_runs  # it has left no run


def test_published_systems_stages_are_shared() -> None:
    assert SearchReleased.shared and SearchTokens.shared
