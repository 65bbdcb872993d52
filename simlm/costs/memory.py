"""What a stage takes of a GPU's memory, and in how many parts a batch fits."""

import math
from dataclasses import dataclass

from simlm.costs.models import Model

TRAINED_BYTES = 16
"""A weight that is trained: float32 with its gradient and AdamW's two moments."""
FROZEN_BYTES = 4
ACTIVATION_BYTES = 45
"""Kept for the backward pass by a layer, for each token with padding and each unit of its width.

Measured on an H200 (reports/performance.md): 62.5 GB for 64 queries with 16 passages padded to 144 tokens.
"""
PACKED_BYTES = 32
"""The same without padding, for each real token: 23.7 GB for these queries and passages."""
READING_BYTES = 4e9
"""What batches of 16,384 tokens and a tile of the search take where nothing is trained."""
USABLE = 0.9
"""Of a GPU's memory; the rest goes to the libraries and to what is left between blocks."""


@dataclass(frozen=True)
class Memory:
    """Bytes that do not depend on the batch, and those of each of its texts."""

    fixed: float
    each: float
    texts: int

    @classmethod
    def of(cls, model: Model, texts: int, longest: int, decoder: int = 0, generator: Model | None = None) -> "Memory":
        """Training on ``texts`` padded to so many tokens at once, beside a generator that is not trained."""
        shape = model.shape
        added = decoder * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
        fixed = TRAINED_BYTES * (model.parameters + added)
        if generator is not None:
            fixed += FROZEN_BYTES * generator.parameters
        return cls(fixed, ACTIVATION_BYTES * shape.hidden * (shape.layers + decoder) * longest, texts)

    @classmethod
    def packed(cls, model: Model, texts: int, mean: float) -> "Memory":
        """Training on ``texts`` of so many tokens in the mean at once, without padding."""
        width = PACKED_BYTES * model.shape.hidden * model.shape.layers
        return cls(TRAINED_BYTES * model.parameters, width * mean, texts)

    @classmethod
    def read_only(cls, model: Model) -> "Memory":
        """A model that is not trained."""
        return cls(FROZEN_BYTES * model.parameters + READING_BYTES, 0.0, 0)

    @property
    def total(self) -> float:
        """With the whole batch at once."""
        return self.fixed + self.each * self.texts

    def parts(self, available: float) -> int | None:
        """The fewest equal parts of the batch that fit one after the other; None where a single text does not."""
        room = USABLE * available - self.fixed
        if room <= 0 or self.each > room:
            return None
        return math.ceil(self.texts * self.each / room) or 1
