"""Length buckets: every index once, little padding, an order that only seed and epoch decide."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simlm.data.batching import LengthBucketedSampler

lengths_lists = st.lists(st.integers(1, 200), max_size=120)


@given(lengths_lists, st.integers(1, 17), st.integers(0, 2**40), st.integers(0, 9), st.booleans(), st.integers(1, 8))
def test_every_index_exactly_once(
    lengths: list[int], size: int, seed: int, epoch: int, drop_last: bool, megabatch: int
) -> None:
    sampler = LengthBucketedSampler(np.array(lengths, dtype=np.int32), size, seed, drop_last, megabatch)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    seen = [index for batch in batches for index in batch]
    assert len(set(seen)) == len(seen)
    assert all(type(index) is int for index in seen)
    if drop_last:
        assert all(len(batch) == size for batch in batches)
        assert len(seen) == len(lengths) // size * size
    else:
        assert sorted(seen) == list(range(len(lengths)))
        assert all(len(batch) == size for batch in batches[:-1])


@given(lengths_lists, st.integers(1, 9), st.integers(0, 100))
def test_batches_are_sorted_within_and_nested_across(lengths: list[int], size: int, seed: int) -> None:
    array = np.array(lengths, dtype=np.int32)
    # One megabatch holds everything, so the batches' ranges of lengths may touch but not overlap.
    batches = list(LengthBucketedSampler(array, size, seed, megabatch=len(lengths) + 1))
    spans = sorted((int(array[batch].max()), int(array[batch].min())) for batch in batches)
    assert all(list(array[batch]) == sorted(array[batch], reverse=True) for batch in batches)
    assert all(low <= high for (low, _), (_, high) in pairwise(spans))


def test_order_depends_on_seed_and_epoch_only() -> None:
    lengths = np.arange(1000, dtype=np.int32) % 90
    sampler = LengthBucketedSampler(lengths, 16, seed=3)
    first = list(sampler)
    assert [len(batch) for batch in first] == [16] * 62 + [8], "an epoch ends with what is no whole batch"
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(sampler.batches(0)) == first
    assert list(LengthBucketedSampler(lengths, 16, seed=4)) != first


def test_little_padding_and_shuffled_batches() -> None:
    lengths = np.random.default_rng(0).integers(10, 144, size=6400).astype(np.int32)
    batches = list(LengthBucketedSampler(lengths, 64, seed=1))
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert padded < 1.05 * lengths.sum()
    means = [lengths[batch].mean() for batch in batches]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.4


def test_drop_last_does_not_prefer_long_texts() -> None:
    lengths = np.repeat([1, 100], 50).astype(np.int32)
    dropped = np.zeros(100)
    for epoch in range(200):
        kept = [i for batch in LengthBucketedSampler(lengths, 40, 5, drop_last=True).batches(epoch) for i in batch]
        dropped[np.setdiff1d(np.arange(100), kept)] += 1
    assert 0.35 < dropped[:50].sum() / dropped.sum() < 0.65


@pytest.mark.parametrize(("size", "megabatch"), [(0, 1), (1, 0)])
def test_refuses_empty_batches(size: int, megabatch: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LengthBucketedSampler(np.ones(3, dtype=np.int32), size, 0, megabatch=megabatch)
