"""How often each piece occurs in a collection, and what guessing by that alone costs."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simlm.data.store import TokenisedCollection
from simlm.data.tokens import TokenStore

TEXTS_AT_A_TIME = 4096


def piece_counts(store: TokenStore, vocabulary: int, longest: int | None = None) -> NDArray[np.int64]:
    """Count each piece, (vocabulary,), among the first ``longest`` of every title and text; None for all of them.

    The memory-mapped store is read a block of texts at a time, so that memory stays bounded however large it is.
    """
    counts = np.zeros(vocabulary, dtype=np.int64)
    for pieces, lengths in store.blocks(TEXTS_AT_A_TIME):
        starts = np.cumsum(lengths) - lengths
        places = np.arange(len(pieces)) - np.repeat(starts, lengths)
        counts += np.bincount(pieces if longest is None else pieces[places < longest], minlength=vocabulary)
    return counts


def entropy(counts: NDArray[np.int64], without: Collection[int] = ()) -> float:
    """Return the entropy in nats of a draw by these counts, without those of some indices; 0 where nothing is left."""
    kept = np.delete(counts, list(without)).astype(np.float64)
    shares = kept[kept > 0] / max(kept.sum(), 1.0)
    return float(-(shares * np.log(shares)).sum())


@cache
def unigram_entropy(folder: Path, max_length: int) -> float:
    """Return the loss, in nats a piece, of a model that knows only how frequent each piece of a collection is.

    The pieces are those that a training reads which cuts passages at ``max_length`` tokens; special ones are left out.
    """
    collection = TokenisedCollection.open(folder)
    tokenizer, passages = collection.tokenizer, collection.passages
    longest = max_length - (3 if passages.has_titles else 2)  # [CLS], and [SEP] after each part
    return entropy(piece_counts(passages, len(tokenizer), longest), tokenizer.all_special_ids)
