"""The figures of an encoding, and a query's latency by a clock that the test turns."""

from pathlib import Path

import pytest

from simlm.retrieval import dense
from simlm.retrieval.dense import mean_latency, timed


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
