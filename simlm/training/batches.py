"""Batches keyed by the epoch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from simlm.data.batching import LengthBucketedSampler
from simlm.training.split import Split


class EpochBatches(Sampler[list[int]]):
    """Batches of like length whose order and content are keyed by the epoch, whatever the number of processes.

    ``lengths`` (n,) are the examples' token counts. With fewer examples than ``batch_size`` all of them are one batch.
    Of each batch a process gets its own micro-batches of ``micro_batch`` examples (``split``).
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        lengths: NDArray[np.int64],
        batch_size: int,
        seed: int,
        micro_batch: int = 0,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        self.dataset = dataset
        self.inner = LengthBucketedSampler(lengths, batch_size, seed, drop_last=len(lengths) >= batch_size)
        self.split = Split(min(batch_size, len(lengths)), micro_batch, processes, rank)
        # What accelerate reads of any batch sampler.
        self.batch_size = batch_size
        self.drop_last = False

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch (0-based) of the batches, and of the examples where the dataset has epochs."""
        self.inner.set_epoch(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.split.rows, self.inner)


@dataclass(frozen=True)
class PartsCollator:
    """The examples of a process's micro-batches -> {"parts": [a batch of each, as ``collate`` makes it]}."""

    collate: Callable[[Sequence[Any]], dict[str, Any]]
    split: Split

    def __call__(self, examples: Sequence[Any]) -> dict[str, Any]:
        return {"parts": [self.collate(rows) for rows in self.split.cut(examples)]}
