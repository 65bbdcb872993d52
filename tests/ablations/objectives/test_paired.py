"""ICT and independent cropping: which texts they pair, and their loss against a loop in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablations.objectives.cocondenser import text_of
from ablations.objectives.cropping import LONGEST, IndependentCropping, crop
from ablations.objectives.inverse_cloze import InverseCloze, sentences
from ablations.objectives.paired import PairedTexts, pair_loss
from tests.pretraining.toys import (
    CLS,
    CONFIG,
    ENDING,
    FIRST_WORD,
    PIECES,
    SEP,
    VOCABULARY,
    bert,
    exact,
    example,
    examples,
    log_softmax,
)

TEXTS = st.lists(st.integers(FIRST_WORD, len(VOCABULARY) - 1), min_size=1, max_size=40)
KINDS: list[type[PairedTexts]] = [InverseCloze, IndependentCropping]


def loop(first: np.ndarray, second: np.ndarray, temperature: float, normalised: bool) -> float:
    if normalised:
        first, second = ([vector / np.sqrt(vector @ vector) for vector in side] for side in (first, second))
    losses = []
    for number, vector in enumerate(first):
        scores = np.array([vector @ other / temperature for other in second])
        losses.append(-log_softmax(scores)[number])
    return float(np.mean(losses))


@given(pairs=st.integers(1, 6), seed=st.integers(0, 2**32 - 1), normalised=st.booleans())
def test_pair_loss_against_a_loop(pairs: int, seed: int, normalised: bool) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, pairs, 5))
    found = pair_loss(torch.from_numpy(first), torch.from_numpy(second), 0.3, normalised)
    assert found.item() == pytest.approx(loop(first, second, 0.3, normalised), rel=1e-9, abs=1e-12)


def test_pair_loss_computes_in_full_precision_under_autocast_and_is_0_for_nothing() -> None:
    first, second = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 8, 64))).float()
    plain = pair_loss(first, second, 1.0, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pair_loss(first, second, 1.0, True), plain)
    assert pair_loss(first[:0].requires_grad_(), second[:0], 1.0, True).item() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_objectives_loss_against_a_loop(kind: type[PairedTexts]) -> None:
    """A passage without a pair, [CLS] word [SEP], counts nothing."""
    model = kind.build(bert(), None, PIECES, CONFIG).eval().double()
    batch = model.collator([*examples([22, 17, 9, 30], titled=True), example(9, 3)])
    assert len(batch["paired"]) == 10 and not batch["paired"][8:].any() and batch["paired"].sum() >= 6
    with torch.no_grad():
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        vectors = exact(model.encoder.bert(**inputs).last_hidden_state[:, 0])[batch["paired"].numpy()]
    expected = loop(vectors[0::2], vectors[1::2], kind.temperature, kind.normalised)
    assert model(**batch)["loss"].item() == pytest.approx(expected, rel=1e-9)


@given(text=TEXTS)
def test_sentences_make_up_a_text_and_end_behind_a_run_of_marks(text: list[int]) -> None:
    ids = np.array(text)
    found = sentences(ids, PIECES)
    assert [place for start, end in found for place in range(start, end)] == list(range(len(text)))
    cuts = {place for place in range(1, len(text)) if ENDING[text[place - 1]] and not ENDING[text[place]]}
    assert {end for _, end in found[:-1]} == cuts


def test_ict_pairs_a_sentence_with_the_rest_and_nine_times_of_ten_without_it() -> None:
    row = example(2, 30, titled=True)
    start = int(row.types.argmax())
    parts = [row.ids[start:-1][first:end].tolist() for first, end in sentences(row.ids[start:-1], PIECES)]
    removed = drawn = 0
    for seed in range(200):
        pair = InverseCloze.draw(row, PIECES, np.random.default_rng(seed))
        assert pair is not None
        (sentence, types), (rest, rest_types) = pair
        assert (sentence[0], sentence[-1]) == (CLS, SEP) and not types.any()
        assert sentence[1:-1].tolist() in parts
        place = start + sum(map(len, parts[: parts.index(sentence[1:-1].tolist())]))
        without = np.delete(np.arange(len(row.ids)), range(place, place + len(sentence) - 2))
        drawn += 1
        if len(rest) < len(row.ids):
            removed += 1
            assert rest.tolist() == row.ids[without].tolist() and rest_types.tolist() == row.types[without].tolist()
        else:
            assert rest.tolist() == row.ids.tolist()
    assert 0.8 < removed / drawn < 0.98


def test_ict_has_no_pair_in_one_sentence() -> None:
    endless = replace(PIECES, ends=np.zeros_like(PIECES.ends))
    assert InverseCloze.draw(example(2, 30), endless, np.random.default_rng(0)) is None


@given(text=TEXTS, seed=st.integers(0, 2**32 - 1))
def test_a_crop_is_part_of_a_span_of_at_most_half_the_text(text: list[int], seed: int) -> None:
    numbered = np.arange(len(text), dtype=np.int32)
    found = crop(numbered, np.random.default_rng(seed))
    assert len(found) and (np.diff(found) > 0).all()
    assert found[-1] - found[0] < max(1, round(LONGEST * len(text)))


def test_cropping_pairs_two_spans_of_the_text_without_its_title() -> None:
    row = example(2, 30, titled=True)
    pair = IndependentCropping.draw(row, PIECES, np.random.default_rng(3))
    assert pair is not None
    for ids, types in pair:
        assert (ids[0], ids[-1]) == (CLS, SEP) and not types.any()
        assert set(ids[1:-1].tolist()) <= set(text_of(row).tolist())
    assert pair[0][0].tolist() != pair[1][0].tolist()
