"""Batches of passages of similar length, so that little of a batch is padding."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler


class LengthBucketedSampler(Sampler[list[int]]):
    """Yield lists of ``batch_size`` indices whose lengths are alike, in an order keyed by (seed, epoch).

    The indices are shuffled and cut into megabatches of ``megabatch`` batches; each megabatch is sorted by length and
    cut into batches, and the batches of the whole epoch are shuffled again. Every index comes exactly once an epoch.
    With ``drop_last`` the last n mod batch_size of the shuffled order, whatever their lengths, are left out in this
    epoch; otherwise the last batch of the epoch is smaller.

    The order depends on (lengths, batch_size, seed, epoch, megabatch) only and on no global generator, so a resumed run
    sees the batches of a run that was never stopped. Memory holds two index arrays of the collection's size.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.integer[Any]],
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        megabatch: int = 50,
    ) -> None:
        if batch_size < 1 or megabatch < 1:
            raise ValueError(f"batch_size {batch_size} and megabatch {megabatch} must be at least 1")
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.megabatch = megabatch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (0-based) whose order the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(len(self.lengths), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches(self.epoch)

    def batches(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of one epoch, whatever `set_epoch` chose."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        if self.drop_last:
            order = order[: len(self) * self.batch_size]
        bucket = np.arange(len(order)) // (self.megabatch * self.batch_size)
        # Stable, longest first within a bucket: equal lengths keep their shuffled order.
        order = order[np.lexsort((-self.lengths[order].astype(np.int64), bucket))]
        whole = len(order) // self.batch_size
        for number in [*generator.permutation(whole).tolist(), whole][: len(self)]:
            start = number * self.batch_size
            yield order[start : start + self.batch_size].tolist()
