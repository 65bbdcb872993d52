"""How published systems join titles, texts and prompts: the tokens are those of a plain tokenizer's call."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from baselines.encoder import Texts
from baselines.system import Title
from simlm.data.inputs import Specials, passage_input
from simlm.data.tokenizer import PieceMaker, load_tokenizer
from simlm.data.tokens import build_token_store
from tests.baselines.repositories import wordpiece

ROWS = [("a", "title 1", "text 2 3 4 5"), ("b", "", "text 6"), ("c", "title 123456", "text"), ("d", "1", "9 " * 30)]
LENGTH = 12


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    (tmp_path / "tokenizer").mkdir()
    wordpiece(tmp_path / "tokenizer")
    return load_tokenizer(tmp_path / "tokenizer")


def view(tokenizer: Any, folder: Path, title: Title, prompt: str, titled: bool = True) -> Texts:
    store = build_token_store(ROWS, tokenizer, folder / "store", has_titles=titled)
    (pieces,) = PieceMaker(tokenizer, 512)([prompt])
    return Texts(store, title, np.array(pieces, dtype=np.int32), Specials.of(tokenizer))


@pytest.mark.parametrize("prompt", ["", "query: "])
@pytest.mark.parametrize("form", ["pair", "separated", "joined", "none"])
def test_tokens_are_those_of_the_tokenizer(form: Title, prompt: str, tokenizer: Any, tmp_path: Path) -> None:
    texts = view(tokenizer, tmp_path, form, prompt)
    plain = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    for index, (_, title, text) in enumerate(ROWS):
        ids, types = passage_input(texts.title(index), texts.text(index), LENGTH, Specials.of(tokenizer))
        whole = {"separated": f"{prompt}{title}{plain.sep_token}{text}", "joined": f"{prompt}{title} {text}"}
        parts = (prompt + title, text) if form == "pair" else (whole.get(form, prompt + text),)
        expected = plain(*parts, truncation=True, max_length=LENGTH)
        assert ids.tolist() == expected["input_ids"] and types.tolist() == expected["token_type_ids"]


def test_a_view_is_the_same_in_another_process(tokenizer: Any, tmp_path: Path) -> None:
    texts = view(tokenizer, tmp_path, "separated", "query: ")
    copied = pickle.loads(pickle.dumps(texts))
    assert all((copied.text(index) == texts.text(index)).all() for index in range(len(texts)))
    assert copied.has_titles is texts.has_titles and copied.lengths.tolist() == texts.lengths.tolist()


def test_queries_have_no_title_and_lengths_are_exact(tokenizer: Any, tmp_path: Path) -> None:
    texts = view(tokenizer, tmp_path, "none", "query: ", titled=False)
    assert [texts.title(index) for index in range(len(texts))] == [None] * len(ROWS)
    assert texts.lengths.tolist() == [len(texts.text(index)) for index in range(len(texts))]


@pytest.mark.parametrize("form", ["pair", "separated", "joined", "none"])
def test_lengths_are_those_of_the_pieces(form: Title, tokenizer: Any, tmp_path: Path) -> None:
    texts = view(tokenizer, tmp_path, form, "query: ")
    for index in range(len(texts)):
        title = texts.title(index)
        assert texts.lengths[index] == len(texts.text(index)) + (0 if title is None else len(title))
