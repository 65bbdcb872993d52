"""Synthetic texts with MS MARCO's lengths, as word pieces of a true vocabulary's size.

Assumed, not measured here: passages have about 75 word pieces of at most 144, special tokens counted (the mean is what
throughput targets are stated for, the limit is Table 11's); the form is a log-normal one, clipped. Queries have about
9 of at most 32. Words are drawn uniformly and a fifth of them continue the word before.
"""

import numpy as np
from numpy.typing import NDArray

from simlm.data.inputs import Encoded, Specials, pair_input, query_input
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Example

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPECIALS = Specials(cls=2, sep=3, pad=0, unk=1, mask=4)
FIRST_WORD = len(SPECIAL_PIECES)
LONGEST, LONGEST_QUERY, LONGEST_PAIR = 144, 32, 192


def spelled(vocabulary: int) -> list[str]:
    """Return a vocabulary as words that a tokenizer keeps whole, the special ones first."""
    return [*SPECIAL_PIECES, *(f"w{number}" for number in range(FIRST_WORD, vocabulary))]


def pieces(vocabulary: int) -> WordPieces:
    """Return a vocabulary in which every fifth word continues the one before."""
    continues = np.arange(vocabulary) % 5 == 0
    continues[:FIRST_WORD] = False
    return WordPieces(continues, SPECIALS, np.zeros_like(continues))


def lengths(count: int, seed: int, median: float, spread: float, longest: int) -> NDArray[np.int64]:
    """Return the numbers of tokens of some texts, int64 (count,), special tokens included."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median), spread, count)
    return np.clip(np.round(drawn), 5, longest).astype(np.int64)


def passage_lengths(count: int, seed: int, longest: int = LONGEST) -> NDArray[np.int64]:
    """Return the lengths of passages: about 75 of at most 144; with another `longest`, as much longer or shorter."""
    return lengths(count, seed, 69.5 * longest / LONGEST, 0.4, longest)


def query_lengths(count: int, seed: int) -> NDArray[np.int64]:
    """Return the lengths of queries, about 9 of at most 32."""
    return lengths(count, seed, 8.5, 0.35, LONGEST_QUERY)


def texts(counts: NDArray[np.int64], vocabulary: int, seed: int) -> list[NDArray[np.int32]]:
    """Return word pieces without special tokens, two fewer for each text than `counts` says."""
    generator = np.random.default_rng(seed)
    return [generator.integers(FIRST_WORD, vocabulary, count - 2).astype(np.int32) for count in counts.tolist()]


def passages(count: int, vocabulary: int, seed: int = 0, longest: int = LONGEST) -> list[Encoded]:
    """Return passages as a model reads them, of `passage_lengths`."""
    counts = passage_lengths(count, seed, longest)
    return [query_input(text, longest, SPECIALS) for text in texts(counts, vocabulary, seed)]


def queries(count: int, vocabulary: int, seed: int = 1) -> list[Encoded]:
    """Return queries as a model reads them, of `query_lengths`."""
    return [query_input(text, LONGEST_QUERY, SPECIALS) for text in texts(query_lengths(count, seed), vocabulary, seed)]


def pairs(count: int, vocabulary: int, seed: int = 2) -> list[Encoded]:
    """Return (query, passage) pairs of at most 192 tokens."""
    firsts = texts(query_lengths(count, seed), vocabulary, seed)
    seconds = texts(passage_lengths(count, seed), vocabulary, seed + 1)
    return [pair_input(one, other, LONGEST_PAIR, SPECIALS) for one, other in zip(firsts, seconds, strict=True)]


def examples(rows: list[Encoded]) -> list[Example]:
    """Return texts as pre-training reads them."""
    return [Example(number, 0, ids, types) for number, (ids, types) in enumerate(rows)]


def tokens_of(rows: list[Encoded]) -> tuple[int, float]:
    """Return how many tokens texts have, and how many each of them attends to in the mean, for `Model.forward`."""
    counts = [len(ids) for ids, _ in rows]
    tokens = sum(counts)
    return tokens, sum(count * count for count in counts) / max(1, tokens)
