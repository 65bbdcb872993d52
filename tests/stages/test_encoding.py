"""An encoding's figures: sizes counted by hand, and no rate for the rest of an interrupted one."""

from pathlib import Path

from simlm.stages.encoding import timed


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
