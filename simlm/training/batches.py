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
    """The examples of a process's micro-batches -> what it makes an update from.

    {"parts": a batch of each, as ``collate`` makes it; "weights": by which their losses are multiplied; "tokens": how
    many are real in all of them}.
    """

    collate: Callable[[Sequence[Any]], dict[str, Any]]
    split: Split

    def __call__(self, examples: Sequence[Any]) -> dict[str, Any]:
        parts = [self.collate(rows) for rows in self.split.cut(examples)]
        weights = [part.weight for part in self.split.parts]
        tokens = sum(_real_tokens(part) for part, weight in zip(parts, weights, strict=True) if weight)
        return {"parts": parts, "weights": weights, "tokens": tokens}


def _real_tokens(inputs: Any) -> int:
    """Unpadded tokens among all attention masks of a batch, nested dictionaries included."""
    total = 0
    for name, value in inputs.items():
        if isinstance(value, dict):
            total += _real_tokens(value)
        elif name == "attention_mask":
            total += int(value.sum())
    return total


@dataclass(frozen=True)
class PacksCollator:
    """As ``PartsCollator``, for a module that reads packs: a process's examples without padding, in as few as fit.

    ``collate`` cuts examples into packs whose losses, added up, are the mean over their micro-batches of so many; each
    says how many of its ``tokens`` are real.
    """

    collate: Callable[[Sequence[Any], int], Sequence[Any]]
    split: Split

    def __call__(self, examples: Sequence[Any]) -> dict[str, Any]:
        weight = sum(part.weight for part in self.split.parts)
        # What is repeated with weight 0 comes last, and is read by a process only that has nothing else.
        own = [part for part in self.split.parts if part.weight or not weight]
        split = self.split
        packs = self.collate(examples[: sum(part.stop - part.start for part in own)], split.micro_batch or split.batch)
        return {
            "parts": [{"part": one} for one in packs],
            "weights": [weight] * len(packs),
            "tokens": sum(one.tokens for one in packs) if weight else 0,
        }
