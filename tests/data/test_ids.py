"""The id table: both ways, for any ids, duplicates refused, colliding digests told apart."""

import pickle
import tempfile
from array import array
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.data import ids as module
from simlm.data.ids import IdTable, IdTableWriter, duplicated, length_prefixed, text_key
from simlm.errors import UserError

id_lists = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), unique=True, max_size=40)


def table_of(ids: list[str], folder: Path) -> IdTable:
    writer = IdTableWriter(folder)
    writer.extend(ids[:3])
    writer.extend(ids[3:])
    writer.close()
    return IdTable(folder)


@given(ids=id_lists, data=st.data())
def test_both_ways(ids: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(ids, Path(folder))
        assert len(table) == len(ids)
        assert list(table) == ids
        assert [table[i] for i in range(len(ids))] == ids
        assert [table.index(id) for id in ids] == list(range(len(ids)))
        drawn = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=20)) if ids else []
        found = table.indices([ids[i] for i in drawn])
        assert found.dtype == np.int64 and found.tolist() == drawn
        assert list(pickle.loads(pickle.dumps(table))) == ids


@given(ids=id_lists, other=st.text(st.characters(codec="utf-8"), max_size=12))
def test_unknown_id(ids: list[str], other: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = table_of([id for id in ids if id != other], Path(folder))
        with pytest.raises(KeyError) as caught:
            table.indices([*table, other])
        assert caught.value.args == (other,)


def test_index_out_of_range(tmp_path: Path) -> None:
    table = table_of(["a", "b"], tmp_path)
    for index in (-1, 2):
        with pytest.raises(IndexError, match="2 ids"):
            table[index]


def test_duplicate_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='id "b" comes twice'):
        table_of(["a", "b", "c", "d", "b"], tmp_path)


def test_colliding_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "text_key", lambda text: len(text))
    ids = ["aa", "b", "cc", "dd", "e", ""]
    table = table_of(ids, tmp_path)
    assert table.indices(ids).tolist() == list(range(6))
    for unknown in ("ee", "f", "ggg"):
        with pytest.raises(KeyError):
            table.index(unknown)


def test_colliding_digests_are_no_duplicates_but_duplicates_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "text_key", lambda text: 7)
    with pytest.raises(UserError, match='id "x" comes twice'):
        table_of(["x", "y", "z", "x"], tmp_path)


def test_digest_is_pinned() -> None:
    # On disk: another text_key would make every stored table unreadable.
    assert text_key("passage-1") == int.from_bytes(blake2b(b"passage-1", digest_size=8).digest(), "little")


@given(st.lists(st.integers(0, 5), max_size=12))
def test_duplicated(values: list[int]) -> None:
    assert duplicated(array("Q", values)) == {value for value in values if values.count(value) > 1}


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_length_prefixed_is_injective(a: list[str], b: list[str]) -> None:
    assert (length_prefixed(a) == length_prefixed(b)) == (a == b)
