"""The bi-encoder over packs: the same losses from the same weights, without padding."""

from collections.abc import Mapping
from typing import cast

from torch import Tensor
from torch.nn import functional

from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.forwards import Body, cls_states
from simlm.packed.inputs import Pack

Inputs = Mapping[str, Tensor] | Pack


class PackedBiEncoder(BiEncoder):
    """A ``BiEncoder`` that takes packs too, once ``prepare`` was called with it."""

    def encode(self, inputs: Inputs, buckets: int = 1) -> Tensor:
        """A pack, or padded inputs -> (N, d) float32: the last layer's [CLS], L2-normalised."""
        if not isinstance(inputs, Pack):
            return super().encode(inputs, buckets)
        states = cls_states(cast(Body, self.encoder), inputs)
        return functional.normalize(states.float(), dim=-1)

    def forward(self, queries: Inputs, passages: Inputs, teacher_scores: Tensor | None = None) -> dict[str, Tensor]:
        """As ``BiEncoder``'s: B queries, and their n passages each, group-major, positives first."""
        # What is between the inputs and ``encode`` never looks into them.
        padded = cast(tuple[Mapping[str, Tensor], Mapping[str, Tensor]], (queries, passages))
        return super().forward(*padded, teacher_scores)
