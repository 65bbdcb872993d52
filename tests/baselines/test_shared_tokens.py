"""Two processes leave what one does of a multi-vector system: index and runs, to the bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.released import SearchTokens
from tests.baselines import two_token_processes
from tests.baselines.repositories import colbert
from tests.baselines.two_token_processes import DEPTH, QUESTIONS, searched
from tests.pairs import run_pair

TIMES = {"encode_seconds", "passages_per_second"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and what one process and two have made of it."""
    folder = tmp_path_factory.mktemp("tokens")
    colbert(folder / "model")
    threads = torch.get_num_threads()
    run_pair(two_token_processes.__name__, folder)
    (folder / "figures.json").write_text(json.dumps(searched(folder / "model", folder / "one")))
    torch.set_num_threads(threads)
    return folder


def test_the_index_is_that_of_one_process(folder: Path) -> None:
    one, two = folder / "one" / "index", folder / "two" / "index"
    assert sorted(path.name for path in two.iterdir()) == ["lengths.bin", "vectors.bin"]
    assert all((two / path.name).read_bytes() == path.read_bytes() for path in one.iterdir())
    # Nothing is left of how the second told the first.
    assert [path.name for path in (folder / "two.work").iterdir()] == ["index.json"]


@pytest.mark.parametrize("split", QUESTIONS)
def test_the_runs_are_those_of_one_process(split: str, folder: Path) -> None:
    with np.load(folder / "one" / f"{split}.npz") as one, np.load(folder / "two" / f"{split}.npz") as two:
        assert two["indices"].shape == (len(QUESTIONS[split]), DEPTH)
        assert all(np.array_equal(two[name], one[name]) for name in ("ids", "scores", "indices"))
        tied = two["scores"][:, 1:] == two["scores"][:, :-1]
        assert tied.any() and (np.diff(two["indices"], axis=1)[tied] > 0).all()


def test_the_first_has_the_figures_of_one_process(folder: Path) -> None:
    one, first, second = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("figures", "figures-0", "figures-1")
    )
    assert one.keys() == first.keys() >= TIMES and all(first[name] > 0 for name in TIMES)
    assert all(first[name] == one[name] for name in first.keys() - TIMES)
    assert second.keys() == first.keys() - {f"{split} queries" for split in QUESTIONS}  # it has left no run


def test_the_stage_is_shared() -> None:
    assert SearchTokens.shared
