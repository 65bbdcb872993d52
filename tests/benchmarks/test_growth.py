"""Memory does not grow with the collection: counted in bytes that Python and torch allocate, not looked up in time."""

import json
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.growth import command as growth
from benchmarks.growth.command import markdown
from benchmarks.growth.steps import rows, tokenizer
from benchmarks.passages import SPECIALS
from simlm.data.tokens import TokenStore, build_token_store
from simlm.errors import UserError
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.search import search
from tests.repro.commands import ROOT

FEW, MANY = 3_000, 9_000
WIDTH = 256
BATCH_TOKENS = 4_096


def traced(work: Callable[[], Any]) -> int:
    """The most bytes that Python and numpy had allocated at once, beyond those from before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Tensors(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make and that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return made

    def note(self, storage: torch.UntypedStorage) -> None:
        place = storage.data_ptr()
        if place not in self.alive:
            weakref.finalize(storage, self.alive.pop, place, None)
        self.alive[place] = storage.nbytes()
        self.most = max(self.most, sum(self.alive.values()))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[TokenStore, int]]:
    """Stores of both sizes, and the peak of making each."""
    tokens = tokenizer()
    found = {}
    build_token_store(rows(10), tokens, tmp_path_factory.mktemp("warm") / "store", has_titles=False)
    for count in (FEW, MANY):
        folder = tmp_path_factory.mktemp("growth") / "store"
        peak = traced(lambda count=count, folder=folder: build_token_store(rows(count), tokens, folder, False))
        found[count] = TokenStore.open(folder), peak
    return found


def test_tokenising_holds_a_few_bytes_a_passage(stores: dict[int, tuple[TokenStore, int]]) -> None:
    """A passage's text has about 400 bytes, its pieces 150: neither is kept."""
    assert (stores[MANY][1] - stores[FEW][1]) / (MANY - FEW) < 64


def vectors(store: TokenStore, folder: Path) -> None:
    """Encode a store; each vector begins with the number of its first piece."""
    table = np.eye(1, WIDTH, dtype=np.float32)

    def encoded(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        made = np.repeat(table, len(inputs["input_ids"]), axis=0)
        made[:, 1] = inputs["input_ids"][:, 1].numpy()
        return torch.from_numpy(made)

    encode = Inference(encoded, Padded(SPECIALS), torch.device("cpu"))
    encode_texts(encode, store, SPECIALS, folder, 144, batch_tokens=BATCH_TOKENS)


@pytest.fixture(scope="module")
def encoded(
    stores: dict[int, tuple[TokenStore, int]], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[Embeddings, int]]:
    """Vectors of both stores, and the peak of making each."""
    folder = tmp_path_factory.mktemp("vectors")
    vectors(stores[FEW][0], folder / "warm")
    peaks = {count: traced(lambda count=count: vectors(stores[count][0], folder / str(count))) for count in stores}
    return {count: (Embeddings.open(folder / str(count)), peak) for count, peak in peaks.items()}


def test_encoding_holds_a_few_bytes_a_passage(encoded: dict[int, tuple[Embeddings, int]]) -> None:
    """A vector has 1,024 bytes, and its passage's input 300: neither is kept."""
    assert (encoded[MANY][1] - encoded[FEW][1]) / (MANY - FEW) < 128


@pytest.mark.parametrize("faiss", [False, True], ids=["torch", "faiss"])
def test_searching_holds_a_block(encoded: dict[int, tuple[Embeddings, int]], faiss: bool) -> None:
    queries = np.random.default_rng(0).standard_normal((40, WIDTH)).astype(np.float32)
    peaks = {}
    for count, (embeddings, _) in encoded.items():

        def find(embeddings: Embeddings = embeddings) -> None:
            search(queries, embeddings, k=10, query_block=16, passage_block=500, faiss=faiss)

        find()
        with Tensors() as tensors:
            find()
        peaks[count] = tensors.most, traced(find)
    block = 4 * 500 * WIDTH
    assert block < peaks[FEW][0] < 4 * block, "the block is among what is counted"
    assert peaks[MANY][0] < 1.2 * peaks[FEW][0]
    assert peaks[MANY][1] < peaks[FEW][1] + block


def test_a_measurement_becomes_json_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the processes, whose steps the tests above take."""
    monkeypatch.setattr(growth, "measure", measure)
    growth.run(growth.parser().parse_args(["--quick", "--out", str(tmp_path)]))
    report = json.loads((tmp_path / "growth.json").read_text())
    assert [(one["task"], one["passages"]) for one in report["results"]] == [
        (step, size) for size in growth.QUICK for step in growth.STEPS
    ]
    page = (tmp_path / "growth.md").read_text()
    assert page == markdown(report)
    assert "From 2,000 to 10,000 passages: 3.0 bytes for each one more." in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growth.json", "growth.md"]


def test_the_published_page_is_its_json() -> None:
    report = json.loads((ROOT / "reports" / "growth.json").read_text(encoding="utf-8"))
    assert (ROOT / "reports" / "growth.md").read_text(encoding="utf-8") == markdown(report)


def measure(step: str, passages: int, folder: Path) -> dict[str, Any]:
    assert folder.is_dir()
    figures = {"own_bytes": 10**6 + 3 * passages, "own_bytes_before": 10**5, "peak_rss_bytes": 10**7}
    return {"task": step, "passages": passages, "seconds": 0.5} | figures


def test_a_step_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = growth.measure("tokenise", 50, tmp_path)
    assert found["passages"] == 50 and 0 < found["own_bytes_before"] <= found["own_bytes"] <= found["peak_rss_bytes"]
    assert len(TokenStore.open(tmp_path / "store")) == 50
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho trace >&2; echo no vectors >&2; exit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(UserError, match="search of 50 passages failed: no vectors"):
        growth.measure("search", 50, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--publish", "--quick"], "--publish is for the large collections"),
        (["--publish", "--largest", "10000"], "--publish --largest 10000: growth shows in two sizes"),
        (["--largest", "9"], "--largest 9: the smallest collection has 10,000 passages"),
        (["--out", "file/below"], "--out file/below: "),
        (["--largest", "x"], "error: argument --largest: invalid int value: 'x'; --help lists every option"),
    ],
)
def test_mistakes(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leaves: Callable[..., tuple[int, str]],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    status, line = leaves(growth.main, *arguments)
    assert status == 2 and said in line
