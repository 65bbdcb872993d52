"""The batch of an update: which examples are in it, which process reads which of them, and what the model is given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

T = TypeVar("T")


class MicroBatch(NamedTuple):
    """Rows ``start`` to ``stop`` of a batch, and their share of the batch's loss."""

    start: int
    stop: int
    weight: float


@dataclass(frozen=True)
class Split:
    """The micro-batches of one process, where the micro-batches of a batch are dealt in turn to several processes.

    A micro-batch weighs as much as its share of rows. Where micro-batches do not come out even, a process repeats the
    batch's first one with weight 0, so that all do the same number of passes.

    Attributes:
        batch: rows of a batch.
        micro_batch: rows of a micro-batch, the last may have fewer; 0 for the whole batch.
        processes: how many processes share a batch.
        rank: which of them this is.
    """

    batch: int
    micro_batch: int = 0
    processes: int = 1
    rank: int = 0

    @cached_property
    def micro_batches(self) -> list[MicroBatch]:
        """This process's micro-batches, in their order."""
        size = self.micro_batch or self.batch
        cuts = [(start, min(start + size, self.batch)) for start in range(0, self.batch, size)]
        own = [
            MicroBatch(start, stop, (stop - start) / self.batch) for start, stop in cuts[self.rank :: self.processes]
        ]
        lacking = -(-len(cuts) // self.processes) - len(own)
        return own + [MicroBatch(*cuts[0], 0.0)] * lacking

    @property
    def size(self) -> int:
        """How many rows this process reads."""
        return sum(one.stop - one.start for one in self.micro_batches)

    def rows(self, batch: Sequence[T]) -> list[T]:
        """Return what this process reads of a batch, one micro-batch after the other."""
        return [row for one in self.micro_batches for row in batch[one.start : one.stop]]

    def cut(self, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        """Cut what `rows` gave into micro-batches."""
        start = 0
        for one in self.micro_batches:
            yield rows[start : start + one.stop - one.start]
            start += one.stop - one.start


class EpochBatches(Sampler[list[int]]):
    """Batches of examples drawn at random, in an order keyed by (seed, epoch), whatever the number of processes.

    Each process gets its own micro-batches of a batch (`Split`). With fewer examples than ``batch_size`` all of them
    are one batch. Examples at the end of an epoch that do not fill a batch are dropped; with ``keep_last`` they are a
    smaller batch, of which each process has one micro-batch, as in the released runs. Where they cannot be shared
    evenly, a few examples of the epoch's first batch come again. Processes that cannot share a whole batch evenly leave
    the smaller one out. The order depends on no global generator, so a resumed run sees the batches of a run that was
    never stopped.

    Args:
        dataset: what the n examples come from; if it has epochs, they are set too.
        batch_size: examples of a batch, of all processes together.
        seed: keys the order together with the epoch.
        micro_batch, processes, rank: as in `Split`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        seed: int,
        micro_batch: int = 0,
        processes: int = 1,
        rank: int = 0,
        keep_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.examples = len(dataset)  # type: ignore[arg-type] # torch's Dataset names no __len__
        self.batch = min(batch_size, self.examples)
        self.seed = seed
        self.epoch = 0
        self.split = Split(self.batch, micro_batch, processes, rank)
        rest = self.examples % self.batch if keep_last and batch_size % processes == 0 else 0
        each = -(-rest // processes)
        self.last = Split(each * processes, each, processes, rank)
        # What accelerate reads of any batch sampler.
        self.batch_size = batch_size
        self.drop_last = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (0-based) of the batches, and of the examples where the dataset has epochs."""
        self.epoch = epoch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return self.examples // self.batch + bool(self.last.batch)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.examples)
        whole = self.examples // self.batch * self.batch
        for start in range(0, whole, self.batch):
            yield self.split.rows(order[start : start + self.batch].tolist())
        if self.last.batch:
            repeated = self.last.batch - (self.examples - whole)
            yield self.last.rows([*order[whole:].tolist(), *order[:repeated].tolist()])


def epochs_in(steps: int, examples: int, batch_size: int, keep_last: bool) -> int:
    """Return how many epochs are begun in so many updates."""
    batches = -(-examples // batch_size) if keep_last else max(1, examples // batch_size)
    return -(-steps // batches)


class Update(NamedTuple):
    """What a process makes an update from.

    Attributes:
        parts: what the model is given, one after the other (`losses_of`).
        weights: by which the losses of each part are multiplied.
        tokens: how many tokens are real in all of them.
    """

    parts: list[Any]
    weights: list[float]
    tokens: int


@dataclass(frozen=True)
class MicroBatches:
    """Padded batches: one part a micro-batch.

    ``collate`` makes a part of a micro-batch's examples.
    """

    collate: Callable[[Sequence[Any]], Any]

    def update(self, examples: Sequence[Any], split: Split) -> Update:
        """Collate the examples of a process's micro-batches."""
        parts = [self.collate(rows) for rows in split.cut(examples)]
        weights = [one.weight for one in split.micro_batches]
        return Update(parts, weights, sum(_tokens(part) for part, weight in zip(parts, weights, strict=True) if weight))


@dataclass(frozen=True)
class Packs:
    """Batches without padding: a process's examples in as few parts as fit the device.

    ``collate`` cuts examples into parts whose losses, added up, are the mean over micro-batches of so many examples.
    """

    collate: Callable[[Sequence[Any], int], Sequence[Any]]

    def update(self, examples: Sequence[Any], split: Split) -> Update:
        """Collate the examples of a process's micro-batches."""
        weight = sum(one.weight for one in split.micro_batches)
        # What is repeated with weight 0 comes last; a process reads it only if it has nothing else.
        own = [one for one in split.micro_batches if one.weight or not weight]
        count = sum(one.stop - one.start for one in own)
        parts = list(self.collate(examples[:count], split.micro_batch or split.batch))
        return Update(parts, [weight] * len(parts), sum(map(_tokens, parts)) if weight else 0)


@dataclass(frozen=True)
class UpdateCollator:
    """Collates the examples that `EpochBatches` gives a process, in a DataLoader: the fields of an `Update` by name."""

    batches: MicroBatches | Packs
    split: Split
    last: Split

    def __call__(self, examples: Sequence[Any]) -> dict[str, Any]:
        split = self.split if len(examples) == self.split.size else self.last
        return self.batches.update(examples, split)._asdict()


def losses_of(model: nn.Module, part: Any) -> dict[str, Tensor]:
    """Return a model's losses of a part: tensors by name are its keyword arguments, anything else its only argument."""
    losses: dict[str, Tensor] = model(**part) if isinstance(part, dict) else model(part)
    return losses


def _tokens(part: Any) -> int:
    """Count the real tokens of a part, which tells them itself or has an attention mask."""
    if not isinstance(part, dict):
        return int(part.tokens)
    return int(part["attention_mask"].sum()) if "attention_mask" in part else 0
