"""Searches: queries in float32, which do not find themselves; the figures of an encoding, and of latency by a clock."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simlm.packed import layouts
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval import dense
from simlm.retrieval.dense import EncoderSide, mean_latency, search_splits, timed
from simlm.retrieval.runs import Run
from tests.retrieval.test_encode import SPECIALS, Store

CPU = torch.device("cpu")


@pytest.mark.parametrize("half", [True, False])
def test_a_gpu_computes_in_float32_where_that_is_asked_for(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        layouts.torch, "autocast", lambda *given, **named: asked.append((given, named)) or nullcontext()
    )
    texts: Any = SimpleNamespace(apply=lambda output: output(torch.ones(1)))
    gpu: Any = SimpleNamespace(type="cuda")
    assert Inference(lambda inputs: inputs + 1, Padded(SPECIALS), gpu, half)(texts) == 2
    assert asked == [(("cuda", torch.bfloat16), {"enabled": half})]


class Watched(Inference):
    halves: tuple[list[bool], list[bool]] = ([], [])

    def __call__(self, texts: Any) -> Tensor:
        self.halves[len(texts) == 1 or len(texts) == 3].append(self.half)  # one query or all three
        return super().__call__(texts)


@pytest.mark.parametrize("own", [None, [3, -1, 0]])
@pytest.mark.parametrize("depth", [2, 4, 9])
def test_queries_are_encoded_in_float32_and_do_not_find_themselves(
    own: list[int] | None, depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [np.full(number + 1, 9, dtype=np.int32) for number in (0, 3, 2, 4)]
    asked = Store([passages[3], passages[1], passages[0]])
    left_out = None if own is None else np.array(own)
    collection: Any = SimpleNamespace(
        passages=Store(passages), queries=lambda split: asked, own_passages=lambda split: left_out
    )
    monkeypatch.setattr(Watched, "halves", ([], []))
    lengths = Watched(lambda inputs: inputs["attention_mask"].sum(1, keepdim=True).float(), Padded(SPECIALS), CPU, True)
    side, runs = EncoderSide(lengths, 16, SPECIALS), []
    output = tmp_path / "output"
    output.mkdir()

    def leave(split: str, run: Run, _: Any) -> dict[str, float]:
        runs.append(run.indices.tolist())
        return {}

    search_splits(collection, side, side, {"test": depth}, "test", False, tmp_path, output, leave)
    assert set(Watched.halves[0]) == {True} and set(Watched.halves[1]) == {False}
    kept = [[passage for passage in (3, 1, 2, 0) if own is None or passage != out] for out in own or [-1] * 3]
    places = min(depth, 4)
    assert runs == [[(row + [-1])[:places] for row in kept]]


def encode(folder: Path) -> list[int]:
    folder.mkdir(exist_ok=True)
    (folder / "shard-00000.npy").write_bytes(bytes(12))
    (folder / "embeddings.json").write_bytes(bytes(5))
    return [0, 0, 0]


def test_a_rate_only_where_all_was_encoded(tmp_path: Path) -> None:
    vectors, figures = timed(encode, tmp_path / "passages")
    assert vectors == [0, 0, 0] and list(figures) == ["index_bytes", "encode_seconds", "passages_per_second"]
    assert figures["passages_per_second"] == 3 / figures["encode_seconds"]
    assert figures["index_bytes"] == 17
    assert timed(encode, tmp_path / "passages")[1] == {"index_bytes": 17}


def test_a_rate_where_an_interrupted_attempt_left_nothing_whole(tmp_path: Path) -> None:
    (tmp_path / ".shard-00000.npy.tmp").write_bytes(bytes(100))
    figures = timed(encode, tmp_path)[1]
    assert "passages_per_second" in figures and figures["index_bytes"] == 117


@pytest.mark.parametrize(
    ("count", "each", "counted"),
    [(200, 0.25, 64), (3, 0.25, 3), (1, 0.25, 1), (200, 4.0, 5), (200, 7.0, 3), (200, 300.0, 1)],
)
def test_the_mean_of_what_is_begun_in_time(
    count: int, each: float, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, answered = 0.0, []

    def answer(number: int) -> None:
        nonlocal now
        now += each if answered else 1_000.0  # the first warms up
        answered.append(number)

    monkeypatch.setattr(dense.time, "perf_counter", lambda: now)
    assert mean_latency(answer, count) == each
    assert answered == [0, *range(counted)]
