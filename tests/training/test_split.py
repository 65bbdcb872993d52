"""Micro-batches: all of a batch, each once, whatever the number of processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.training.split import Split


@given(batch=st.integers(1, 60), micro_batch=st.integers(0, 70), processes=st.integers(1, 9))
def test_every_row_counts_once(batch: int, micro_batch: int, processes: int) -> None:
    splits = [Split(batch, micro_batch, processes, rank) for rank in range(processes)]
    assert len({len(split.parts) for split in splits}) == 1
    weights = [0.0] * batch
    for split in splits:
        rows = split.rows(range(batch))
        for part, cut in zip(split.parts, split.cut(rows), strict=True):
            assert list(cut) == list(range(part.start, part.stop))
            assert 0 < len(cut) <= (micro_batch or batch)
            for row in cut:
                weights[row] += part.weight / len(cut)
    assert weights == pytest.approx([1 / batch] * batch)


def test_micro_batches_of_one_size_are_averaged_plainly() -> None:
    """METHOD: 64 passages each, then a plain mean over 4 accumulation steps and 8 GPUs."""
    for rank in range(8):
        parts = Split(2_048, 64, 8, rank).parts
        assert [part.start for part in parts] == [64 * (rank + 8 * number) for number in range(4)]
        assert {part.weight for part in parts} == {1 / 32}


def test_a_batch_of_one_process_is_itself() -> None:
    assert Split(5).parts == [(0, 5, 1.0)]
