"""A small tokenizer that needs no training, shared by the tests of this folder."""

import pytest
from transformers import BertTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = ["insurance", "life", "car", "what", "the", "is", "##s", "##ing", ":", ".", "?", ","]


@pytest.fixture(scope="session")
def tokenizer() -> BertTokenizerFast:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{one}" for one in LETTERS)]
    return BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)}, do_lower_case=True)
