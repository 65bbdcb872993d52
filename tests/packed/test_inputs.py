"""What a pack holds, and how a batch is cut into packs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.packed.inputs import even_parts, full_parts, pack
from tests.packed.toys import LENGTHS, PAD, filled, rows_of


def test_a_pack_holds_its_rows_end_to_end() -> None:
    rows = rows_of()
    packed = pack(rows, PAD)
    assert packed.input_ids[0].tolist() == [token for ids, _ in rows for token in ids.tolist()]
    assert packed.token_type_ids[0].tolist() == [kind for _, types in rows for kind in types.tolist()]
    assert packed.position_ids[0].tolist() == [position for length in LENGTHS for position in range(length)]
    assert packed.cu_seq_lens.tolist() == [0, *np.cumsum(LENGTHS).tolist()]
    assert (packed.max_length, packed.passages, packed.tokens) == (max(LENGTHS), len(rows), sum(LENGTHS))


def test_filler_fills_up_to_round_numbers() -> None:
    packed = filled(rows_of())
    bounds = packed.cu_seq_lens
    assert packed.input_ids.shape == (1, 256) and len(bounds) == 17 and bounds[-1] == 256
    assert bounds.diff().max() <= packed.max_length == 40 and bounds.diff().min() == 0
    assert (packed.input_ids[0, sum(LENGTHS) :] == PAD).all() and packed.position_ids.max() == 39


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack(rows_of(), PAD, tokens=50)
    with pytest.raises(ValueError, match="do not fit"):
        pack(rows_of(), PAD, max_length=20)


@given(st.lists(st.integers(1, 144), min_size=1, max_size=200), st.integers(144, 4_000))
def test_parts_are_even(lengths: list[int], max_tokens: int) -> None:
    counts = np.array(lengths)
    parts = list(even_parts(counts, max_tokens))
    assert np.concatenate([np.arange(len(lengths))[part] for part in parts]).tolist() == list(range(len(lengths)))
    assert len(parts) <= -(-counts.sum() // max_tokens)
    assert all(counts[part].sum() < max_tokens + 144 for part in parts)


@given(st.lists(st.integers(1, 144), min_size=1, max_size=200), st.integers(144, 4_000))
def test_full_parts_hold_what_fits(lengths: list[int], max_tokens: int) -> None:
    counts = np.array(lengths)
    parts = list(full_parts(counts, max_tokens))
    assert np.concatenate([np.arange(len(lengths))[part] for part in parts]).tolist() == list(range(len(lengths)))
    assert all(counts[part].sum() <= max_tokens for part in parts)
    assert all(
        counts[one].sum() + counts[other.start] > max_tokens for one, other in zip(parts, parts[1:], strict=False)
    )
