"""Piece counts and unigram entropy: against a loop over the passages, whatever the blocks."""

from pathlib import Path

import numpy as np
import pytest
from transformers import BertTokenizerFast

from simlm.data import frequencies
from simlm.data.frequencies import entropy, piece_counts
from simlm.data.tokens import build_token_store

ROWS = [("a", "", "what is life"), ("b", "life: insurance", ""), ("c", "car", "what is the car the car insurance is")]


@pytest.mark.parametrize("titles", [False, True])
@pytest.mark.parametrize("block", [1, 2, 4096])
@pytest.mark.parametrize("longest", [1, 4, 512])
def test_counts_are_those_of_a_loop(
    titles: bool,
    block: int,
    longest: int,
    tokenizer: BertTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frequencies, "TEXTS_AT_A_TIME", block)
    store = build_token_store(ROWS, tokenizer, tmp_path / "store", titles)
    expected = [0] * len(tokenizer)
    for number in range(len(store)):
        for part in (store.title(number), store.text(number)):
            for piece in [] if part is None else part[:longest]:
                expected[piece] += 1
    assert piece_counts(store, len(tokenizer), longest).tolist() == expected


def test_entropy_is_of_the_pieces_that_are_counted() -> None:
    assert entropy(np.array([5, 5, 5, 5])) == pytest.approx(np.log(4))
    assert entropy(np.array([100, 5, 0, 5, 7]), without=[0, 4]) == pytest.approx(np.log(2))
    assert entropy(np.array([9, 0])) == entropy(np.array([0, 0])) == 0.0
