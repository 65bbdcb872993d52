"""Inputs equal what Hugging Face's fast tokenizers make of the same texts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizerFast

from simlm.data.inputs import (
    Specials,
    batch_inputs,
    colon_pieces,
    pad,
    pair_input,
    passage_input,
    query_input,
    reranker_passage,
)
from simlm.errors import UserError

WORDS = ["a", "cat", "sat", "##s", "##ting", "on", "the", "mat", ":", ".", "x", "##x"]
VOCABULARY = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
TOKENIZER = BertTokenizerFast(vocab=VOCABULARY, do_lower_case=True)
SPECIALS = Specials.of(TOKENIZER)
assert Specials(cls=2, sep=3, pad=0, unk=1, mask=4) == SPECIALS

texts = st.lists(st.sampled_from(["a", "cats", "sat", "xxx", "on the", "mat.", "unknown", ":"]), max_size=14).map(
    " ".join
)


def pieces(text: str) -> np.ndarray:
    return np.array(TOKENIZER(text, add_special_tokens=False)["input_ids"], dtype=np.int32)


def huggingface(first: str, second: str, max_length: int) -> dict:
    # As lists: given one pair of empty strings, the tokenizer forgets the second.
    batch = TOKENIZER([first], [second], truncation="longest_first", max_length=max_length)
    return {name: rows[0] for name, rows in batch.items()}


def same(encoded: tuple[np.ndarray, np.ndarray], expected: dict) -> None:
    ids, types = encoded
    assert ids.dtype == np.int32 and types.dtype == np.int8
    assert ids.tolist() == expected["input_ids"]
    assert types.tolist() == expected["token_type_ids"]


def test_specials_missing() -> None:
    tokenizer = BertTokenizerFast(vocab=VOCABULARY)
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="has no mask_token"):
        Specials.of(tokenizer)


@given(title=texts, text=texts, max_length=st.integers(4, 40))
def test_passage_with_title_is_huggingface_longest_first(title: str, text: str, max_length: int) -> None:
    expected = huggingface(title, text, max_length)
    same(passage_input(pieces(title), pieces(text), max_length, SPECIALS), expected)
    same(pair_input(pieces(title), pieces(text), max_length, SPECIALS), expected)


@given(text=texts, max_length=st.integers(3, 30))
def test_passage_without_titles_and_query(text: str, max_length: int) -> None:
    expected = TOKENIZER(text, truncation=True, max_length=max_length)
    same(passage_input(None, pieces(text), max_length, SPECIALS), expected)
    same(query_input(pieces(text), max_length, SPECIALS), expected)


@given(query=texts, title=texts, text=texts, max_length=st.integers(4, 40))
def test_reranker_pair_is_the_joined_string(query: str, title: str, text: str, max_length: int) -> None:
    joined = f"{title}: {text}" if title else text
    expected = huggingface(query, joined, max_length)
    passage = reranker_passage(pieces(title), pieces(text), colon_pieces(TOKENIZER))
    same(pair_input(pieces(query), passage, max_length, SPECIALS), expected)


def test_reranker_passage_without_titles() -> None:
    text = pieces("the mat")
    assert reranker_passage(None, text, colon_pieces(TOKENIZER)) is text


@pytest.mark.parametrize("max_length", [0, 1, 2])
def test_no_room_for_special_tokens(max_length: int) -> None:
    with pytest.raises(ValueError, match="leaves no room"):
        passage_input(pieces("a"), pieces("a"), max_length, SPECIALS)


@given(
    rows=st.lists(st.lists(st.integers(0, 9), max_size=20), min_size=1, max_size=6), multiple=st.sampled_from([1, 4, 8])
)
def test_pad(rows: list[list[int]], multiple: int) -> None:
    table = pad([np.array(row, dtype=np.int32) for row in rows], -7, multiple)
    assert table.dtype == torch.int64
    width = table.shape[1]
    longest = max(len(row) for row in rows)
    assert width % multiple == 0 and longest <= width < longest + multiple
    assert table.tolist() == [row + [-7] * (width - len(row)) for row in rows]


def test_batch_inputs_equal_the_tokenizers_padding() -> None:
    pairs = [("a cat", "sat on the mat."), ("", "x"), ("the", "")]
    encoded = [passage_input(pieces(a), pieces(b), 8, SPECIALS) for a, b in pairs]
    batch = batch_inputs(encoded, SPECIALS, multiple_of=4)
    expected = TOKENIZER(
        [a for a, _ in pairs],
        [b for _, b in pairs],
        truncation="longest_first",
        max_length=8,
        padding=True,
        pad_to_multiple_of=4,
        return_tensors="pt",
    )
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids"}
    for name, value in batch.items():
        assert torch.equal(value, expected[name])


def test_mask_keeps_a_pad_token_inside_a_text() -> None:
    batch = batch_inputs([query_input(np.array([0, 5]), 8, SPECIALS)], SPECIALS, multiple_of=8)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
