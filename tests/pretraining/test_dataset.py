"""Passages as examples, and the held-out split."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.data.inputs import passage_input
from simlm.data.tokens import build_token_store
from simlm.pretraining.dataset import EVALUATION_EPOCH, PassageExamples, hold_out
from simlm.pretraining.mlm import MaskCollator
from simlm.pretraining.replaced_lm import NestedMaskCollator
from tests.pretraining.toys import ALL_PIECES, CONFIG, PIECES, TOKENIZER, corpus

MAX_LENGTH = 12


@pytest.fixture(params=[True, False], ids=["titles", "no titles"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> PassageExamples:
    store = build_token_store(corpus(10), TOKENIZER, tmp_path / "store", has_titles=request.param)
    return PassageExamples(store, np.array([2, 3, 7]), PIECES.specials, MAX_LENGTH, ALL_PIECES)


def test_examples_are_the_chosen_passages_cut_at_the_maximum(dataset: PassageExamples) -> None:
    assert len(dataset) == 3
    for number, passage in enumerate([2, 3, 7]):
        row = dataset[number]
        title, text = dataset.passages.title(passage), dataset.passages.text(passage)
        ids, types = passage_input(title, text, MAX_LENGTH, PIECES.specials)
        assert (row.passage, row.epoch) == (passage, 0)
        assert np.array_equal(row.ids, ids) and np.array_equal(row.types, types)
        assert len(row.ids) <= MAX_LENGTH
    assert types.any() == dataset.passages.has_titles


def test_masks_are_new_in_every_epoch_and_the_same_within_one(dataset: PassageExamples) -> None:
    collator = NestedMaskCollator(PIECES, CONFIG)
    masks = []
    for epoch in (0, 1, EVALUATION_EPOCH, 0):
        dataset.set_epoch(epoch)
        assert dataset[0].epoch == epoch
        masks.append(collator([dataset[number] for number in range(3)])["decoder_mask"].numpy())
    assert np.array_equal(masks[0], masks[3])
    for other in (masks[1], masks[2]):
        assert not np.array_equal(masks[0], other)


def test_workers_get_the_same_examples_and_masks(dataset: PassageExamples) -> None:
    dataset.set_epoch(4)
    copy = pickle.loads(pickle.dumps(dataset))
    for kind in (MaskCollator, NestedMaskCollator):
        collator = kind(PIECES, CONFIG)
        ours = collator([dataset[0], dataset[2]])
        theirs = pickle.loads(pickle.dumps(collator))([copy[0], copy[2]])
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@given(st.integers(0, 500), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_the_held_out_split(passages: int, held_out: int, seed: int) -> None:
    train, unseen = hold_out(passages, held_out, seed)
    assert np.array_equal(np.sort(np.concatenate([train, unseen])), np.arange(passages))
    assert len(unseen) == min(held_out, passages // 10)
    assert (np.diff(train) > 0).all() and (np.diff(unseen) > 0).all()
    again = hold_out(passages, held_out, seed)
    assert np.array_equal(train, again[0]) and np.array_equal(unseen, again[1])


def test_the_held_out_split_depends_on_the_seed() -> None:
    assert not np.array_equal(hold_out(1000, 50, 1)[1], hold_out(1000, 50, 2)[1])
