"""Whole-word masks are distributed as the released code's.

Each record of released values holds the tokens of a text, the masking rate, and what 3,000 draws gave: the mean, least
and largest number of masked tokens, and how often each place was masked.
"""

import math
from typing import Any

import numpy as np
import pytest

from tests.golden.project import Masks, budget, second_rate
from tests.golden.values import CLS, SEP, WHOLE_WORD_MASKS, assert_same

DRAWS = 3_000
WORD, CONTINUATION = 5, 6
IDS = {"[CLS]": CLS, "[SEP]": SEP, "a": WORD, "##b": CONTINUATION}
MASKS = Masks(np.arange(7) == CONTINUATION)


def ids_of(record: dict[str, Any]) -> np.ndarray:
    return np.array([IDS[token] for token in record["tokens"]], dtype=np.int32)


def z_scores(ours: np.ndarray, released: np.ndarray) -> np.ndarray:
    """Of the differences of two frequencies, each of DRAWS draws; 0 where both are 0, or both 1."""
    pooled = (ours + released) / 2
    spread = np.sqrt(2 * pooled * (1 - pooled) / DRAWS)
    return np.divide(ours - released, spread, out=np.zeros_like(spread), where=spread > 0)


@pytest.mark.parametrize(
    "number", range(len(WHOLE_WORD_MASKS)), ids=[f"{len(one['tokens'])}-{one['p']:.3g}" for one in WHOLE_WORD_MASKS]
)
def test_number_and_places_of_masked_tokens(number: int) -> None:
    record = WHOLE_WORD_MASKS[number]
    ids, rate, frequencies = ids_of(record), record["p"], np.array(record["freq"])
    assert np.allclose(frequencies * DRAWS, np.round(frequencies * DRAWS))
    drawn = MASKS.draw(ids, rate, DRAWS, np.random.default_rng(number))
    counts = drawn.sum(axis=1)
    assert counts.max() == record["max"] and counts.min() == record["min"]
    assert record["max"] == min(budget(rate, len(ids)), np.isin(ids, [WORD, CONTINUATION]).sum())
    if record["min"] == record["max"]:
        assert counts.mean() == record["mean"]
    else:
        assert abs(counts.mean() - record["mean"]) < 4 * math.sqrt(2 * counts.var() / DRAWS)
    assert record["first"] == record["last"] == 0 and not drawn[:, [0, -1]].any()
    assert np.abs(z_scores(drawn.mean(axis=0), frequencies)).max() < 5


@pytest.mark.parametrize("length", [20, 60, 144])
def test_decoder_mask_adds_an_independent_one(length: int) -> None:
    """A place stays free with the product of the released probabilities at the two rates."""
    rate = second_rate(0.3, 0.5)
    first, second = (
        next(one for one in WHOLE_WORD_MASKS if len(one["tokens"]) == length and abs(one["p"] - p) < 1e-9)
        for p in (0.3, rate)
    )
    assert first["tokens"] == second["tokens"]
    assert_same(rate, second["p"])
    encoder, decoder = MASKS.draw_nested(ids_of(first), 0.3, 0.5, DRAWS, np.random.default_rng(length))
    assert (encoder <= decoder).all()
    one, other = np.array(first["freq"]), np.array(second["freq"])
    assert np.abs(z_scores(encoder.mean(axis=0), one)).max() < 5
    assert np.abs(z_scores(decoder.mean(axis=0), 1 - (1 - one) * (1 - other))).max() < 5
    assert decoder[:, 1:-1].mean() * (length - 2) / length == pytest.approx(0.5, abs=0.02)


def test_equal_rates_give_the_decoder_the_mask_of_the_encoder() -> None:
    encoder, decoder = MASKS.draw_nested(ids_of(WHOLE_WORD_MASKS[-1]), 0.3, 0.3, 1, np.random.default_rng(0))
    assert np.array_equal(encoder, decoder)
