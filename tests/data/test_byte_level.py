"""Byte-level BPE: every text comes back, case is kept, types are 0, and masks cover tokens one by one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from simlm.data.collection import Passage, Query
from simlm.data.inputs import Specials, passage_input
from simlm.data.store import tokenise_collection
from simlm.data.tokenizer import PieceMaker, check_tokenizer_matches, load_tokenizer, tokenizer_digest
from simlm.data.tokenizer_training import SPECIAL_TOKENS, train_byte_level_bpe, train_wordpiece
from simlm.models.save import model_card
from simlm.pretraining.masking import WordPieces, budget, draw_words, stateless_rng
from tests.rows import collection_of

TEXTS = [
    "Insurance covers the car; the car's insurance, naïvely, is insuring cars ## ## ##.",
    "Life insurance is insurance  of a life. What is covered? Coverage ## 2017!",
] * 3
SIZE = 315
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return train_byte_level_bpe(iter(TEXTS), SIZE, tmp_path_factory.mktemp("tokenizer") / "own")


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_it_stands_where_a_bert_tokenizer_does(trained: PreTrainedTokenizerFast) -> None:
    assert len(trained) == SIZE and Specials.of(trained) == Specials(cls=2, sep=3, pad=0, unk=1, mask=4)
    assert set(trained.all_special_tokens) == set(SPECIAL_TOKENS)
    pair = trained("the car", "a Life", return_token_type_ids=True)
    assert trained.decode(pair["input_ids"]) == "[CLS]the car[SEP]a Life[SEP]"
    assert set(pair["token_type_ids"]) == {0}
    check_tokenizer_matches(trained, BertConfig(vocab_size=SIZE))


def test_pieces_are_learnt_and_loaded_offline(trained: PreTrainedTokenizerFast) -> None:
    assert trained.tokenize("an insurance") == ["a", "n", "Ġinsurance"]
    loaded = AutoTokenizer.from_pretrained(trained.name_or_path, local_files_only=True)
    assert loaded.get_vocab() == trained.get_vocab()
    assert tokenizer_digest(loaded) == tokenizer_digest(load_tokenizer(Path(trained.name_or_path)))


@given(text=TEXT)
def test_any_text_comes_back_without_an_unknown(trained: PreTrainedTokenizerFast, text: str) -> None:
    ids = ids_of(trained, text)
    assert trained.decode(ids) == text
    assert not set(ids) & set(Specials.of(trained))
    assert PieceMaker(trained, 512)([text, "", text]) == [ids, [], ids]


@given(text=TEXT, rate=st.floats(0.05, 0.95), seed=st.integers(0, 2**32 - 1))
def test_masks_cover_tokens_one_by_one(trained: PreTrainedTokenizerFast, text: str, rate: float, seed: int) -> None:
    pieces = WordPieces.of(trained)
    ids, _ = passage_input(None, np.array(ids_of(trained, text + " ##"), dtype=np.int32), 64, pieces.specials)
    words = pieces.words(ids)
    assert words == [(place, place + 1) for place in range(1, len(ids) - 1)]
    masks = [draw_words(words, len(ids), rate, stateless_rng(seed, epoch, 0)) for epoch in range(2)]
    for mask in masks:
        assert mask.sum() == min(len(words), budget(rate, len(ids)))
        assert not mask[0] and not mask[-1]


def test_a_piece_that_begins_like_a_continuation_is_a_token(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    assert "##" in trained.get_vocab(), "learnt from the texts"
    assert not WordPieces.of(trained).continues.any()
    assert WordPieces.of(train_wordpiece(TEXTS, 90, tmp_path)).continues.any()


def test_without_segments_a_title_begins_its_text(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = [Passage("p1", "Car", "what is the car?"), Passage("p2", "", "Life insurance.")]
    collection = collection_of("tiny", rows, {"train": ([Query("q", "car?")], {"q": {"p1": 1}})})
    store = tokenise_collection(collection, trained, tmp_path / "c", segments=False)
    assert not store.passages.has_titles and list(store.passages.ids) == ["p1", "p2"]
    texts = [trained.decode(store.passages.text(number).tolist()) for number in range(2)]
    assert texts == ["Car what is the car?", "Life insurance."]
    assert trained.decode(store.queries("train").text(0).tolist()) == "car?"


def test_the_card_says_what_becomes_of_case(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = BertModel(BertConfig(vocab_size=SIZE, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    assert "keeps the case" in model_card(model, trained, "x", {})
    assert "lower-cased by the tokenizer" in model_card(model, train_wordpiece(TEXTS, 90, tmp_path), "x", {})
