"""Batches of an epoch, and the micro-batches of each process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from simlm.training.batches import EpochBatches, MicroBatches, Split, UpdateCollator, epochs_in


class Plain(Dataset[int]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


class Epochs(Plain):
    """Remembers the epoch it was told."""

    epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def batches_of(size: int, batch_size: int, seed: int = 3) -> EpochBatches:
    return EpochBatches(Epochs(size), batch_size, seed)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_has_each_example_at_most_once_in_full_batches(size: int, batch_size: int, epoch: int) -> None:
    batches = batches_of(size, batch_size)
    batches.set_epoch(epoch)
    made = list(batches)
    assert len(made) == len(batches) == max(1, size // batch_size)
    assert {len(batch) for batch in made} == {min(size, batch_size)}
    seen = [number for batch in made for number in batch]
    assert len(set(seen)) == len(seen) and set(seen) <= set(range(size))
    assert list(batches) == made


class Rows(list[int]):
    """A part of an update: its rows."""

    tokens = 1


@given(size=st.integers(1, 70), share=st.integers(1, 9), processes=st.integers(1, 4), epoch=st.integers(0, 3))
def test_the_last_batch_is_kept_and_filled_up_for_even_processes(
    size: int, share: int, processes: int, epoch: int
) -> None:
    """As the released runs: an order of all examples, dealt evenly, a few of them again where they do not come out."""
    batch = share * processes
    if size < batch:
        return
    ranks = []
    for rank in range(processes):
        one = EpochBatches(Epochs(size), batch, 3, share, processes, rank, keep_last=True)
        one.set_epoch(epoch)
        collate = UpdateCollator(MicroBatches(Rows), one.split, one.last)
        ranks.append([(rows, collate(rows)) for rows in one])
        assert len(one) == len(ranks[0]) == -(-size // batch)
        assert epochs_in(len(one) * 3, size, batch, True) == 3 and epochs_in(len(one) * 3 + 1, size, batch, True) == 4
    seen = []
    for update in zip(*ranks, strict=True):
        assert len({len(rows) for rows, _ in update}) == 1, "all processes gather equally many vectors"
        for rows, made in update:
            assert made["parts"] == [rows] and made["weights"] == [pytest.approx(1 / processes)]
            seen += rows
    last = -(-(size % batch) // processes) * processes
    assert set(seen) == set(range(size)) and len(seen) == size // batch * batch + last < size + processes
    uneven = EpochBatches(Epochs(size), batch, 3, 1, batch + 1, 0, keep_last=True)
    assert len(uneven) == size // batch, "processes that share no whole batch evenly leave the rest out"


def test_order_depends_on_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = batches_of(60, 8, seed)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 1) != order(4, 1)


def test_examples_get_the_epoch_too() -> None:
    batches = batches_of(20, 4)
    batches.set_epoch(6)
    assert isinstance(batches.dataset, Epochs) and batches.dataset.epoch == 6


@pytest.mark.parametrize("size", [3, 20])
def test_a_dataset_without_epochs_will_do(size: int) -> None:
    batches = EpochBatches(Plain(size), 4, 1)
    batches.set_epoch(2)
    assert len(list(batches)) == len(batches)


@given(batch=st.integers(1, 60), micro_batch=st.integers(0, 70), processes=st.integers(1, 9))
def test_every_row_counts_once(batch: int, micro_batch: int, processes: int) -> None:
    splits = [Split(batch, micro_batch, processes, rank) for rank in range(processes)]
    assert len({len(split.micro_batches) for split in splits}) == 1
    weights = [0.0] * batch
    for split in splits:
        rows = split.rows(range(batch))
        for part, cut in zip(split.micro_batches, split.cut(rows), strict=True):
            assert list(cut) == list(range(part.start, part.stop))
            assert 0 < len(cut) <= (micro_batch or batch)
            for row in cut:
                weights[row] += part.weight / len(cut)
    assert weights == pytest.approx([1 / batch] * batch)


def test_micro_batches_of_one_size_are_averaged_plainly() -> None:
    """METHOD: 64 passages each, then a plain mean over 4 accumulation steps and 8 GPUs."""
    for rank in range(8):
        parts = Split(2_048, 64, 8, rank).micro_batches
        assert [part.start for part in parts] == [64 * (rank + 8 * number) for number in range(4)]
        assert {part.weight for part in parts} == {1 / 32}


def test_a_batch_of_one_process_is_itself() -> None:
    assert Split(5).micro_batches == [(0, 5, 1.0)]
