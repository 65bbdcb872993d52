"""The stores give back what the tokenizer makes of the texts, are read lazily and are whole or not there."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from simlm.data import tokens as tokens_module
from simlm.data.collection import Passage, Query
from simlm.data.opening import open_collection
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.data.tokens import TokenStore, build_token_store
from simlm.errors import UserError
from simlm.files import checksums
from tests.data.beir import write_beir
from tests.rows import collection_of

ROWS = [("p1", "Car", "what is the car?"), ("p2", "", "Life insurance."), ("ü3", "life", ""), ("p4", "", "")]
strange = st.text(st.characters(codec="utf-8"), max_size=30)


def expected(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("has_titles", [True, False])
def test_round_trip(tokenizer: BertTokenizerFast, tmp_path: Path, has_titles: bool) -> None:
    store = build_token_store(ROWS, tokenizer, tmp_path / "store", has_titles)
    for opened in (store, TokenStore.open(tmp_path / "store"), pickle.loads(pickle.dumps(store))):
        assert len(opened) == 4 and list(opened.ids) == [row[0] for row in ROWS]
        assert opened.has_titles is has_titles
        for number, (_, title, text) in enumerate(ROWS):
            assert opened.text(number).dtype == np.int32
            assert opened.text(number).tolist() == expected(tokenizer, text)
            found = opened.title(number)
            assert (found is None) if not has_titles else found.tolist() == expected(tokenizer, title)
            total = len(opened.text(number)) + (len(found) if found is not None else 0)
            assert opened.lengths[number] == total
        assert opened.lengths.dtype == np.int32


def test_token_width(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    build_token_store(ROWS, tokenizer, tmp_path / "narrow", False)
    assert json.loads((tmp_path / "narrow" / "store.json").read_text())["dtype"] == "uint16"
    wide = BertTokenizerFast(vocab=tokenizer.get_vocab())
    wide.add_tokens([f"<{number}>" for number in range(2**16)])
    store = build_token_store([("a", "", "the <65535>")], wide, tmp_path / "wide", False)
    assert json.loads((tmp_path / "wide" / "store.json").read_text())["dtype"] == "int32"
    assert store.text(0).tolist() == expected(wide, "the <65535>") and store.text(0).max() >= 2**16


def test_rows_are_consumed_lazily(
    tokenizer: BertTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "BATCH", 10)
    given_out = written = 0
    append = tokens_module._Writer.append

    def watched(self: tokens_module._Writer, ids: list[str], parts: list[list[int]]) -> None:
        nonlocal written
        written += len(ids)
        assert given_out - written <= 10
        append(self, ids, parts)

    def rows() -> Iterator[tuple[str, str, str]]:
        nonlocal given_out
        for number in range(95):
            given_out += 1
            yield str(number), "", "the car"

    monkeypatch.setattr(tokens_module._Writer, "append", watched)
    assert len(build_token_store(rows(), tokenizer, tmp_path / "s", False)) == written == 95


def test_arrays_are_views_on_the_files(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    store = build_token_store(ROWS, tokenizer, tmp_path / "s", True)
    for array in (store._tokens, store._bounds, store.lengths, store.ids._bytes, store.ids._digests):
        assert not array.flags.owndata and not array.flags.writeable


def test_failed_build_leaves_nothing(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[str, str, str]]:
        yield from ROWS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_token_store(rows(), tokenizer, tmp_path / "s", False)
    assert list(tmp_path.iterdir()) == []


def test_not_a_store(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    for opener, marker in ((TokenStore.open, "store.json"), (TokenisedCollection.open, "collection.json")):
        with pytest.raises(UserError, match=f"no readable {marker}"):
            opener(tmp_path / "nowhere")
        for content, message in (("{", "is no JSON"), ('{"format": "x"}', "does not describe")):
            (tmp_path / marker).write_text(content)
            with pytest.raises(UserError, match=message):
                opener(tmp_path)


@pytest.mark.parametrize("name", ["tokens.bin", "bounds.bin", "lengths.bin", "ids.bin", "id_order.npy"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty"])
def test_damaged_store(tokenizer: BertTokenizerFast, tmp_path: Path, name: str, damage: str) -> None:
    path = build_token_store(ROWS, tokenizer, tmp_path / "s", True).folder / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[:-8] if damage == "short" else b"")
    with pytest.raises(UserError, match="damaged"):
        TokenStore.open(tmp_path / "s")


def test_row_out_of_range(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    store = build_token_store(ROWS, tokenizer, tmp_path / "s", True)
    for index in (-1, 4):
        with pytest.raises(IndexError, match="4 rows"):
            store.text(index)
        with pytest.raises(IndexError, match="4 rows"):
            store.title(index)


PASSAGES = [Passage(*row) for row in ROWS]
QUERIES = [Query("b", "what is life"), Query("a", "car?"), Query("c", "the")]
JUDGED = {"a": {"p4": 1, "p1": 2, "p2": 0}, "b": {"ü3": 1}}


def test_tokenised_collection(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    collection = collection_of("tiny", PASSAGES, {"train": (QUERIES, JUDGED), "test": (QUERIES[:1], {})})
    made = tokenise_collection(collection, tokenizer, tmp_path / "c")
    as_given = tokenise_collection(collection, tokenizer, tmp_path / "given", qrels_order=True)
    for opened in (made, TokenisedCollection.open(tmp_path / "c"), pickle.loads(pickle.dumps(made))):
        assert opened.splits == ("train", "test")
        assert opened.passages.has_titles and len(opened.passages) == 4
        assert not opened.queries("train").has_titles
        assert opened.queries("train").text(0).tolist() == expected(tokenizer, "what is life")
        qrels = opened.qrels("train")
        assert (qrels.query.tolist(), qrels.passage.tolist(), qrels.grade.tolist()) == (
            [0, 1, 1, 1],
            [2, 0, 1, 3],
            [1, 2, 0, 1],
        )
        assert qrels.query.dtype == qrels.passage.dtype == qrels.grade.dtype == np.int64
        assert [qrels.positives(query).tolist() for query in range(3)] == [[2], [0, 3], []]
        assert len(opened.qrels("test")) == 0
        assert as_given.qrels("train").positives(1).tolist() == [3, 0], "a's positives as the qrels have them"
        assert opened.tokenizer("the car")["input_ids"] == tokenizer("the car")["input_ids"]
        assert opened.meta["fingerprint"] == collection.fingerprint()
        assert opened.meta["statistics"]["passages"] == 4
        with pytest.raises(UserError, match="no split 'dev': choose one of train, test"):
            opened.queries("dev")


@pytest.mark.parametrize(
    ("judged", "message"), [({"x": {"p1": 1}}, "unknown query 'x'"), ({"a": {"p9": 1}}, "unknown passage 'p9'")]
)
def test_qrel_of_an_unknown_id(
    tokenizer: BertTokenizerFast, tmp_path: Path, judged: dict[str, dict[str, int]], message: str
) -> None:
    collection = collection_of("tiny", PASSAGES, {"train": (QUERIES, judged)})
    with pytest.raises(UserError, match=message):
        tokenise_collection(collection, tokenizer, tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_a_renamed_folder_leaves_the_same_bytes(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    """So that what was made under another name, there or on another machine, still fits."""
    folders = [write_beir(tmp_path / name) for name in ("notes", "other")]
    for folder in folders:
        tokenise_collection(open_collection(str(folder)), tokenizer, folder / "store")
    assert checksums(folders[0] / "store") == checksums(folders[1] / "store")


@pytest.mark.parametrize("data", [None, b"", b"\x93NUMPY", b"text"])
def test_damaged_qrels(tokenizer: BertTokenizerFast, tmp_path: Path, data: bytes | None) -> None:
    collection = collection_of("tiny", PASSAGES, {"train": (QUERIES, JUDGED)})
    made = tokenise_collection(collection, tokenizer, tmp_path / "c")
    path = tmp_path / "c" / "qrels" / "train" / "grade.npy"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError, match="holds no whole qrels"):
        made.qrels("train")


def test_titles_and_texts_are_cut_off(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    store = build_token_store([("a", "car " * 600, "life " * 513)], tokenizer, tmp_path / "s", True)
    assert (len(store.title(0)), len(store.text(0))) == (512, 512)
