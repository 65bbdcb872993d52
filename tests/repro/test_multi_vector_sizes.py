"""The size of a multi-vector index, against writing out every passage's tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repro.table3 import index_bytes, vectors


@given(st.lists(st.integers(0, 400), max_size=20))
def test_a_vector_for_every_token_that_colbert_keeps(lengths: list[int]) -> None:
    kept = 0
    for length in lengths:
        tokens = ["[CLS]", "[D]", *(f"piece{i}" for i in range(length))][:179]
        kept += len([*tokens, "[SEP]"])
    assert vectors(np.array(lengths, dtype=np.int32)) == kept
    assert index_bytes(kept) == np.zeros((kept, 128), dtype=np.float16).nbytes
