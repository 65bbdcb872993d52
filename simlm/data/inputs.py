"""From word pieces to the rows of a batch: special tokens, token types, truncation and padding.

Stores keep pieces without special tokens, so one store serves every maximum length and every kind of input.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from simlm.data.tokenizer import Specials

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Pieces = npt.NDArray[np.integer[Any]]
Ids = npt.NDArray[np.int32]
Types = npt.NDArray[np.int8]
Encoded = tuple[Ids, Types]


def longest_first(first: int, second: int, budget: int) -> tuple[int, int]:
    """Return the lengths to which two parts are cut so that together they have at most ``budget`` pieces.

    ``first`` and ``second`` are their lengths before. The longer part is cut first; when both have to be cut, each
    keeps half, and an odd piece goes to the part that was longer (to the second when they were equally long), as in the
    ``longest_first`` strategy of fast tokenizers.
    """
    if first + second <= budget:
        return first, second
    short, long = min(first, second), max(first, second)
    if 2 * short <= budget:
        long = budget - short
    else:
        short = budget // 2
        long = budget - short
    return (long, short) if first > second else (short, long)


def _joined(first: Pieces, second: Pieces, max_length: int, specials: Specials) -> Encoded:
    """Return [CLS] first [SEP] second [SEP] with token types 0 and 1."""
    if max_length < 3:
        raise ValueError(f"max_length {max_length} leaves no room for [CLS], [SEP] and [SEP]")
    n, m = longest_first(len(first), len(second), max_length - 3)
    ids = np.empty(n + m + 3, dtype=np.int32)
    ids[0] = specials.cls
    ids[1 : n + 1] = first[:n]
    ids[n + 1] = specials.sep
    ids[n + 2 : -1] = second[:m]
    ids[-1] = specials.sep
    types = np.zeros(len(ids), dtype=np.int8)
    types[n + 2 :] = 1
    return ids, types


def query_input(query: Pieces, max_length: int, specials: Specials) -> Encoded:
    """Return [CLS] query [SEP], all of token type 0, at most ``max_length`` tokens with the two special ones.

    Section 3.2 (32 tokens at paper scale). Ids are int32 (L,), token types int8 (L,).
    """
    if max_length < 2:
        raise ValueError(f"max_length {max_length} leaves no room for [CLS] and [SEP]")
    n = min(len(query), max_length - 2)
    ids = np.empty(n + 2, dtype=np.int32)
    ids[0] = specials.cls
    ids[1:-1] = query[:n]
    ids[-1] = specials.sep
    return ids, np.zeros(n + 2, dtype=np.int8)


def passage_input(title: Pieces | None, text: Pieces, max_length: int, specials: Specials) -> Encoded:
    """Return the input of a passage in pre-training and in the bi-encoder (Sections 3.1 and 3.2).

    Args:
        title: None for a collection without titles; the input is then [CLS] text [SEP]. Otherwise it is [CLS] title
            [SEP] text [SEP] with token types 0 and 1, also where this passage's title is empty.
        text: The pieces of the text.
        max_length: Tokens with the special ones (144 at paper scale); the longer part is cut first.
        specials: The special tokens.

    Returns:
        Ids int32 (L,) and token types int8 (L,).
    """
    if title is None:
        return query_input(text, max_length, specials)
    return _joined(title, text, max_length, specials)


def reranker_passage(title: Pieces | None, text: Pieces, colon: Pieces) -> Pieces:
    """Return the pieces of "title: text", a passage as the re-ranker reads it; the text alone without a title.

    ``colon`` holds the piece or pieces of ":" (see `colon_pieces`). A BERT-like tokenizer splits at punctuation, so
    these are the pieces that it makes of the joined string.
    """
    if title is None or len(title) == 0:
        return text
    return np.concatenate([title, colon, text])


def colon_pieces(tokenizer: "PreTrainedTokenizerFast") -> Ids:
    """Return the pieces of ":" for `reranker_passage`, int32."""
    return np.array(tokenizer(":", add_special_tokens=False)["input_ids"], dtype=np.int32)


def pair_input(query: Pieces, passage: Pieces, max_length: int, specials: Specials) -> Encoded:
    """Return the re-ranker's input: [CLS] query [SEP] passage [SEP], token types 0 and 1 (Section 3.2).

    ``passage`` comes from `reranker_passage`. At most ``max_length`` tokens (192 at paper scale) with the special ones,
    the longer part cut first. Ids are int32 (L,), token types int8 (L,).
    """
    return _joined(query, passage, max_length, specials)


def padded_length(longest: int, multiple_of: int = 8) -> int:
    """Round ``longest`` up to a multiple of ``multiple_of``."""
    return -(-longest // multiple_of) * multiple_of


def pad(rows: Sequence[Pieces], pad_value: int, multiple_of: int = 8) -> torch.Tensor:
    """Pad rows of different lengths on the right with ``pad_value``, to one (B, L) int64 tensor.

    L is the longest row's length, rounded up to a multiple of `multiple_of`.
    """
    width = padded_length(max((len(row) for row in rows), default=0), multiple_of)
    table = np.full((len(rows), width), pad_value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(table)


def batch_inputs(encoded: Sequence[Encoded], specials: Specials, multiple_of: int = 8) -> dict[str, torch.Tensor]:
    """Pad inputs to a batch for a BERT-like model: input_ids, attention_mask and token_type_ids, each int64 (B, L).

    The mask comes from the rows' lengths, not from the ids, so a [PAD] inside a text stays visible.
    """
    ids = [row[0] for row in encoded]
    return {
        "input_ids": pad(ids, specials.pad, multiple_of),
        "attention_mask": pad([np.ones(len(row), dtype=np.int8) for row in ids], 0, multiple_of),
        "token_type_ids": pad([row[1] for row in encoded], 0, multiple_of),
    }
