"""Whole-word masks against METHOD's words, over random token sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.errors import UserError
from simlm.pretraining.masking import budget, draw_words, nested_masks, second_rate, stateless_rng
from tests.pretraining.toys import CLS, FIRST_WORD, MASK, PAD, PIECES, SEP, TOKENIZER, UNK, VOCABULARY

ORDINARY = st.integers(FIRST_WORD, len(VOCABULARY) - 1)
SPELLED_OUT = st.sampled_from([UNK, UNK, UNK, PAD, MASK])
PARTS = st.lists(st.one_of(ORDINARY, ORDINARY, ORDINARY, SPELLED_OUT), max_size=40)
RATES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def passages(draw: st.DrawFn) -> np.ndarray:
    """[CLS] text [SEP], or [CLS] title [SEP] text [SEP]."""
    ids = [CLS]
    for _ in range(draw(st.integers(1, 2))):
        ids += [*draw(PARTS), SEP]
    return np.array(ids, dtype=np.int32)


def reference_words(ids: np.ndarray) -> list[list[int]]:
    """Positions of every word, by reading the pieces one after the other."""
    words: list[list[int]] = []
    at_boundary = True
    for position, piece in enumerate(TOKENIZER.convert_ids_to_tokens(ids.tolist())):
        if piece in ("[CLS]", "[SEP]"):
            at_boundary = True
            continue
        if piece.startswith("##") and not at_boundary:
            words[-1].append(position)
        else:
            words.append([position])
        at_boundary = False
    return words


def reference_draw(ids: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    words = reference_words(ids)
    covered: list[int] = []
    for number in rng.permutation(len(words)):
        if len(covered) >= budget(rate, len(ids)):
            break
        if len(covered) + len(words[number]) > budget(rate, len(ids)):
            continue
        covered += words[number]
    return np.isin(np.arange(len(ids)), covered)


@given(passages())
def test_words_are_what_a_reader_finds(ids: np.ndarray) -> None:
    assert [list(range(start, end)) for start, end in PIECES.words(ids)] == reference_words(ids)


@pytest.mark.parametrize(
    ("rate", "length", "expected"),
    [
        (0.3, 5, 2),
        (0.5, 5, 2),
        (0.5, 7, 4),
        (0.3, 144, 43),
        (0.15, 2, 1),
        (0.01, 40, 1),
        (0.5, 2000, 512),
        (1.0, 512, 512),
    ],
)
def test_budget_by_hand(rate: float, length: int, expected: int) -> None:
    assert budget(rate, length) == expected


@given(passages(), RATES, SEEDS)
def test_draw_is_the_greedy_reference(ids: np.ndarray, rate: float, seed: int) -> None:
    drawn = draw_words(PIECES.words(ids), len(ids), rate, stateless_rng(seed))
    assert np.array_equal(drawn, reference_draw(ids, rate, stateless_rng(seed)))


@given(passages(), RATES, SEEDS)
def test_decoder_mask_is_the_union_with_an_independent_draw(ids: np.ndarray, rate: float, seed: int) -> None:
    decoder_rate = (1 + rate) / 2
    rng = stateless_rng(seed)
    first = reference_draw(ids, rate, rng)
    second = reference_draw(ids, (decoder_rate - rate) / (1 - rate), rng)
    spared = np.isin(ids, [UNK, PAD, MASK])
    encoder, decoder = nested_masks(ids, PIECES, rate, decoder_rate, stateless_rng(seed))
    assert np.array_equal(encoder, first & ~spared)
    assert np.array_equal(decoder, (first | second) & ~spared)


@given(passages(), RATES, SEEDS)
def test_equal_rates_give_one_mask(ids: np.ndarray, rate: float, seed: int) -> None:
    encoder, decoder = nested_masks(ids, PIECES, rate, rate, stateless_rng(seed))
    assert np.array_equal(encoder, decoder)


@given(passages(), RATES, SEEDS)
def test_rate_one_masks_everything_that_may_be(ids: np.ndarray, rate: float, seed: int) -> None:
    _, decoder = nested_masks(ids, PIECES, rate, 1.0, stateless_rng(seed))
    assert np.array_equal(decoder, ids >= FIRST_WORD)


def test_unknown_words_use_up_the_budget() -> None:
    ids = np.array([CLS, UNK, UNK, UNK, UNK, SEP], dtype=np.int32)
    assert draw_words(PIECES.words(ids), len(ids), 0.5, stateless_rng(1)).sum() == 3
    assert not any(mask.any() for mask in nested_masks(ids, PIECES, 0.5, 0.9, stateless_rng(1)))


def test_a_passage_without_words_gets_no_mask() -> None:
    for mask in nested_masks(np.array([CLS, SEP, SEP], dtype=np.int32), PIECES, 0.3, 0.5, stateless_rng(1)):
        assert not mask.any()


@pytest.mark.parametrize(("encoder", "decoder", "expected"), [(0.3, 0.5, 2 / 7), (0.15, 0.15, 0), (0.3, 1.0, 1)])
def test_second_rate(encoder: float, decoder: float, expected: float) -> None:
    assert second_rate(encoder, decoder) == pytest.approx(expected)


@pytest.mark.parametrize(("encoder", "decoder"), [(0.0, 0.5), (1.0, 1.0), (0.3, 0.2), (0.3, 1.1), (-0.1, 0.3)])
def test_impossible_rates_are_refused(encoder: float, decoder: float) -> None:
    with pytest.raises(UserError, match=f"encoder={encoder}, decoder={decoder}"):
        second_rate(encoder, decoder)


@given(st.tuples(SEEDS, st.integers(0, 50), st.integers(0, 10**7)))
def test_a_stateless_generator_depends_on_its_key_alone(key: tuple[int, int, int]) -> None:
    first = stateless_rng(*key).random(4)
    np.random.default_rng().random(3)
    assert np.array_equal(first, stateless_rng(*key).random(4))
    seed, epoch, passage = key
    for other in ((seed + 1, epoch, passage), (seed, epoch + 1, passage), (seed, epoch, passage + 1)):
        assert not np.array_equal(first, stateless_rng(*other).random(4))
