"""Nested whole-word masks (Section 3.1).

The encoder's mask covers a share ``p_enc`` of a passage's tokens; the decoder's is the union of that mask with a
second, independent one of rate ``(p_dec - p_enc) / (1 - p_enc)``, so that ``p_dec`` holds in expectation and whatever
the encoder cannot see is hidden from the decoder too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers.models import WordPiece
from torch import Tensor

from simlm.data.inputs import Specials
from simlm.errors import UserError

MAX_MASKED = 512


@dataclass(frozen=True)
class WordPieces:
    """What masking must know of a vocabulary.

    ``continues`` (vocabulary,) is true for pieces that join the word before them ("##ing"), in a WordPiece vocabulary.
    In any other, as RoBERTa's byte-level BPE, no piece does: there tokens are masked one by one, as RoBERTa's are.
    ``ends`` (vocabulary,) is true for the pieces that end a sentence.
    """

    continues: NDArray[np.bool_]
    specials: Specials
    ends: NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: Any) -> "WordPieces":
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        joins = isinstance(tokenizer.backend_tokenizer.model, WordPiece)
        continues = np.fromiter((joins and piece.startswith("##") for piece in pieces), dtype=bool, count=len(pieces))
        ends = np.array([piece.lstrip("#Ġ") in (".", "!", "?") for piece in pieces])
        return cls(continues, Specials.of(tokenizer), ends)

    def words(self, ids: NDArray[np.integer[Any]]) -> list[tuple[int, int]]:
        """Find (start, end) of every word among ``ids`` (length,); [CLS] and [SEP] belong to none."""
        boundary = (ids == self.specials.cls) | (ids == self.specials.sep)
        after_boundary = np.concatenate(([True], boundary[:-1]))
        starts = np.flatnonzero(~boundary & (~self.continues[ids] | after_boundary))
        stops = np.flatnonzero(boundary)
        ends = np.append(starts[1:], len(ids))
        # A word also ends where the next [SEP] stands.
        if len(stops):
            following = np.searchsorted(stops, starts)
            limit = np.append(stops, len(ids))[following]
            ends = np.minimum(ends, limit)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    def maskable(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Tell, bool (length,), where a drawn token really is masked: [UNK] uses up budget but is left as it is.

        So is a [MASK] or [PAD] that a text spells out.
        """
        return (ids != self.specials.unk) & (ids != self.specials.mask) & (ids != self.specials.pad)

    def counted(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Tell, bool (length,), which tokens of ``ids`` are not special: both losses are about these."""
        return ~np.isin(ids, self.specials)


def second_rate(encoder_rate: float, decoder_rate: float) -> float:
    """Return the rate of the decoder's own mask, (p_dec - p_enc) / (1 - p_enc); 0 when both rates are equal."""
    if not 0 < encoder_rate < 1 or not encoder_rate <= decoder_rate <= 1:
        raise UserError(
            f"mask rates encoder={encoder_rate}, decoder={decoder_rate}: "
            "choose 0 < encoder < 1 and encoder <= decoder <= 1"
        )
    return (decoder_rate - encoder_rate) / (1 - encoder_rate)


def budget(rate: float, length: int) -> int:
    """Return how many tokens may be covered: round(rate x length), half to even, at least 1 and at most 512."""
    return max(1, min(MAX_MASKED, round(rate * length)))


def draw_words(
    words: Sequence[tuple[int, int]], length: int, rate: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Cover whole words in random order until the budget is used; a word that would overshoot is skipped.

    ``length`` is the unpadded length with [CLS] and [SEP]. Returns a mask (length,).
    """
    mask = np.zeros(length, dtype=bool)
    left = budget(rate, length)
    for number in rng.permutation(len(words)).tolist():
        if left == 0:
            break
        start, end = words[number]
        if end - start <= left:
            mask[start:end] = True
            left -= end - start
    return mask


def nested_masks(
    ids: NDArray[np.integer[Any]],
    pieces: WordPieces,
    encoder_rate: float,
    decoder_rate: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw the encoder's and the decoder's masks, both (length,), of one passage ``ids`` (length,)."""
    words = pieces.words(ids)
    extra_rate = second_rate(encoder_rate, decoder_rate)
    maskable = pieces.maskable(ids)
    encoder = draw_words(words, len(ids), encoder_rate, rng)
    decoder = encoder
    if extra_rate > 0:
        decoder = encoder | draw_words(words, len(ids), extra_rate, rng)
    return encoder & maskable, decoder & maskable


def counted_tokens(input_ids: Tensor, attention_mask: Tensor, specials: Specials) -> Tensor:
    """Tell, bool (B, L), which tokens of the original passages ``input_ids`` (B, L) are not special.

    ``attention_mask`` (B, L) tells tokens from padding.
    """
    return attention_mask.bool() & ~torch.isin(input_ids, torch.tensor(specials))


def stateless_rng(*key: int) -> np.random.Generator:
    """Make a random generator that depends on ``key`` alone, e.g. (seed, epoch, passage).

    Masks drawn from it are the same whether or not a run was interrupted, and however passages are batched.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key))))
