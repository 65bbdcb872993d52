"""How a batch is cut into micro-batches, and which of them are whose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Part(NamedTuple):
    """A micro-batch: rows ``start`` to ``stop`` of the batch, and its share of the batch's loss."""

    start: int
    stop: int
    weight: float


@dataclass(frozen=True)
class Split:
    """The micro-batches of one process, when batches of ``batch`` rows are dealt in turn to ``processes``.

    Each has ``micro_batch`` rows (0: the whole batch), the last maybe fewer, and weighs as much as its share of rows:
    micro-batches of one size are averaged plainly, however many processes there are. Where they do not come out even, a
    process repeats its batch's first one with weight 0, so that all do the same number of passes.
    """

    batch: int
    micro_batch: int = 0
    processes: int = 1
    rank: int = 0

    @cached_property
    def parts(self) -> list[Part]:
        """This process's micro-batches, in their order."""
        size = self.micro_batch or self.batch
        cuts = [(start, min(start + size, self.batch)) for start in range(0, self.batch, size)]
        own = [Part(start, stop, (stop - start) / self.batch) for start, stop in cuts[self.rank :: self.processes]]
        lacking = -(-len(cuts) // self.processes) - len(own)
        return own + [Part(*cuts[0], 0.0)] * lacking

    def rows(self, batch: Sequence[T]) -> list[T]:
        """What this process reads of a batch, one micro-batch after the other."""
        return [row for part in self.parts for row in batch[part.start : part.stop]]

    def cut(self, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        """What ``rows`` gave, cut into its micro-batches."""
        start = 0
        for part in self.parts:
            yield rows[start : start + part.stop - part.start]
            start += part.stop - part.start
