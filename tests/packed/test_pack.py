"""What a pack holds, and how a batch is cut into packs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.packed import MAX_TOKENS, ROUND_TO, SEQUENCES
from simlm.packed.forwards import RECOMPILE_LIMIT
from simlm.packed.pack import even_parts, full_parts, pack, rounded_up, shared_size
from tests.packed.toys import LENGTHS, PAD, filled, rows_of

LONGEST = 144


def test_a_pack_holds_its_rows_end_to_end() -> None:
    rows = rows_of()
    packed = pack(rows, PAD)
    assert packed.input_ids[0].tolist() == [token for ids, _ in rows for token in ids.tolist()]
    assert packed.token_type_ids[0].tolist() == [kind for _, types in rows for kind in types.tolist()]
    assert packed.position_ids[0].tolist() == [position for length in LENGTHS for position in range(length)]
    assert packed.cu_seq_lens.tolist() == [0, *np.cumsum(LENGTHS).tolist()]
    assert (packed.max_length, packed.texts, packed.tokens) == (max(LENGTHS), len(rows), sum(LENGTHS))


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


def shapes(max_tokens: int) -> set[tuple[int, int]]:
    """Of an epoch over 200,000 passages whose lengths are as MS MARCO's: tokens and sequences of a pack."""
    lengths = np.random.default_rng(0).lognormal(np.log(68), 0.4, (98, 2_048)).clip(8, LONGEST).astype(np.int64)
    found = set()
    for own in lengths:
        parts = list(even_parts(own, max_tokens))
        tokens = shared_size((int(own[part].sum()) for part in parts), ROUND_TO)
        assert tokens is not None
        for part in parts:
            fillers = -(-(tokens - int(own[part].sum())) // LONGEST)
            found.add((tokens, rounded_up(part.stop - part.start + fillers, SEQUENCES)))
    return found


def test_compiled_code_meets_few_shapes() -> None:
    """Fewer than are compiled for, since evaluations compile for theirs too; with less memory packs are smaller."""
    for max_tokens in (MAX_TOKENS, 40_000, 20_000):
        assert len(shapes(max_tokens)) < 0.75 * RECOMPILE_LIMIT
