"""Batches keyed by the epoch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from simlm.data.batching import LengthBucketedSampler


class EpochBatches(Sampler[list[int]]):
    """Batches of like length whose order and content are keyed by the epoch.

    ``lengths`` (n,) are the examples' token counts. With fewer examples than ``batch_size`` all of them are one batch.
    """

    def __init__(self, dataset: Dataset[Any], lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.dataset = dataset
        self.inner = LengthBucketedSampler(lengths, batch_size, seed, drop_last=len(lengths) >= batch_size)
        # What accelerate reads when it deals the batches to several processes: where they lack one to come out even,
        # examples from the epoch's start are repeated.
        self.batch_size = batch_size
        self.drop_last = False
        self.sampler = self  # where accelerate looks for set_epoch then

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch (0-based) of the batches, and of the examples where the dataset has epochs."""
        self.inner.set_epoch(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.inner)
