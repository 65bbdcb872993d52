"""Tokenising stretch by stretch gives the tokenizer's own pieces; other tokenizers get whole texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from simlm.data import tokenizer as tokenizer_module
from simlm.data.tokenizer import PieceMaker

strange = st.text(
    st.one_of(st.sampled_from(" \t\n\x1c\x85\xa0\u0301\u3000.:#[]aéßİΣ保\U0001f600"), st.characters(codec="utf-8")),
    max_size=30,
)


def expected(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@given(texts=st.lists(strange, max_size=4), limit=st.integers(1, 40))
def test_pieces_word_by_word_are_the_tokenizers(tokenizer: BertTokenizerFast, texts: list[str], limit: int) -> None:
    maker = PieceMaker(tokenizer, limit)
    for _ in range(2):  # the second time from the cache
        assert maker([*texts, "[MASK] the[SEP]"]) == [
            expected(tokenizer, text)[:limit] for text in [*texts, "[MASK] the[SEP]"]
        ]


def test_pieces_of_a_byte_level_tokenizer_see_the_spaces() -> None:
    backend = Tokenizer(BPE({"Ġa": 0, "a": 1, "Ġ": 2, "[UNK]": 3}, [("Ġ", "a")], unk_token="[UNK]"))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    assert PieceMaker(PreTrainedTokenizerFast(tokenizer_object=backend), 9)(["a a"]) == [[1, 0]]


def test_pieces_ignore_truncation_and_leave_the_tokenizer_alone(tokenizer: BertTokenizerFast) -> None:
    own = BertTokenizerFast(vocab=tokenizer.get_vocab())
    own("the car", truncation=True, max_length=3, padding="max_length")
    before = own.backend_tokenizer.to_str()
    assert PieceMaker(own, 512)(["what is the car"]) == [expected(tokenizer, "what is the car")]
    assert own.backend_tokenizer.to_str() == before


def test_cache_is_bounded(tokenizer: BertTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "CACHED_WORDS", 3)
    maker = PieceMaker(tokenizer, 512)
    for number in range(20):
        text = f"life{number} car{number}"
        assert maker([text]) == [expected(tokenizer, text)]
        assert len(maker._cache) <= 5
