"""What a multi-vector index takes, as of ColBERT (Khattab and Zaharia, SIGIR 2020): a vector for every token."""

from typing import Any

import numpy as np
import numpy.typing as npt

DIMENSIONS = 128
BYTES = 2
"""16 bit a dimension."""
MAX_TOKENS = 180
"""Where ColBERT cuts a passage of MS MARCO, special tokens included."""
SPECIAL_TOKENS = 3
"""[CLS], the marker that says "passage", and [SEP]; each has a vector."""


def vectors(lengths: npt.NDArray[np.integer[Any]]) -> int:
    """The vectors of passages of so many word pieces (n,), special tokens not counted in them.

    Punctuation has vectors too; ColBERT can leave those out.
    """
    return int(np.minimum(lengths, MAX_TOKENS - SPECIAL_TOKENS).sum(dtype=np.int64)) + SPECIAL_TOKENS * len(lengths)


def index_bytes(count: int) -> int:
    """The bytes of so many vectors, without whatever else an index keeps to find them."""
    return count * DIMENSIONS * BYTES
