"""The bi-encoder over packs: the same losses from the same weights, without padding."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.forwards import Body, cls_states
from simlm.packed.inputs import Pack, joined


class PackedBiEncoder(nn.Module):
    """``biencoder`` over packs, once ``prepare`` was called with its encoder."""

    def __init__(self, biencoder: BiEncoder) -> None:
        super().__init__()
        self.biencoder = biencoder

    def encode(self, inputs: Pack) -> Tensor:
        """A pack of N texts -> (N, d) float32: the last layer's [CLS], L2-normalised."""
        states = cls_states(cast(Body, self.biencoder.encoder), inputs)
        return functional.normalize(states.float(), dim=-1)

    def forward(self, queries: Pack, passages: Pack, teacher_scores: Tensor | None = None) -> dict[str, Tensor]:
        """As ``BiEncoder``'s: B queries, and their n passages each, group-major, positives first.

        Both go through the encoder in one row: queries alone are too few tokens to keep a GPU busy.
        """
        self.biencoder.check(teacher_scores)
        vectors = self.encode(joined(queries, passages))
        first = len(queries.firsts)
        own = vectors[: queries.passages], vectors[first : first + passages.passages]
        return self.biencoder.losses(*own, teacher_scores)
