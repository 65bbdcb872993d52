"""The bi-encoder over packs: the same losses from the same weights, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.forwards import Body, cls_states
from simlm.packed.inputs import OnDevice, Pack
from simlm.packed.packer import Packer

if TYPE_CHECKING:
    from simlm.finetuning.datasets import BiEncoderGroup


@dataclass(frozen=True)
class RetrieverPacks(OnDevice):
    """A batch: its B queries and then their n passages each, group-major, positives first, cut into packs.

    teacher_scores: float32 (B, n), for a retriever with a teacher.
    """

    packs: tuple[Pack, ...]
    queries: int
    teacher_scores: Tensor | None = None

    @property
    def tokens(self) -> int:
        """How many are real."""
        return sum(one.tokens for one in self.packs)


@dataclass(frozen=True)
class RetrieverPacker:
    """B groups -> one ``RetrieverPacks``, as the contrastive loss is over all of them.

    max_tokens: of a pack, whose activations are held at once; None for all in one.
    """

    packer: Packer
    max_tokens: int | None = None

    def __call__(self, groups: "Sequence[BiEncoderGroup]", micro_batch: int = 0) -> list[RetrieverPacks]:
        """``micro_batch`` counts nothing: all groups are one."""
        rows = [group.query for group in groups] + [one for group in groups for one in group.passages]
        scores = [group.teacher_scores for group in groups if group.teacher_scores is not None]
        teacher = torch.from_numpy(np.stack(scores)) if scores else None
        return [RetrieverPacks(self.packer.packs(rows, self.max_tokens), len(groups), teacher)]


class PackedBiEncoder(nn.Module):
    """``biencoder`` over packs, once ``prepare`` was called with its encoder."""

    def __init__(self, biencoder: BiEncoder) -> None:
        super().__init__()
        self.biencoder = biencoder

    def encode(self, inputs: Pack) -> Tensor:
        """A pack of N texts -> (N, d) float32: the last layer's [CLS], L2-normalised."""
        states = cls_states(cast(Body, self.biencoder.encoder), inputs)
        return functional.normalize(states.float(), dim=-1)

    def forward(self, part: RetrieverPacks) -> dict[str, Tensor]:
        """What ``BiEncoder``'s returns.

        Of several packs the activations of one are held at a time: each is encoded without them, and again, with the
        same dropout, when its vectors have their gradients (GradCache, as in ``BiEncoder``).
        """
        self.biencoder.check(part.teacher_scores)
        cached = len(part.packs) > 1 and torch.is_grad_enabled()
        vectors = torch.cat([self._cached(one) if cached else self.encode(one) for one in part.packs])
        return self.biencoder.losses(vectors[: part.queries], vectors[part.queries :], part.teacher_scores)

    def _cached(self, one: Pack) -> Tensor:
        def encode(input_ids: Tensor) -> Tensor:
            return self.encode(replace(one, input_ids=input_ids))

        # The random state is kept of devices that a tensor among the arguments is on.
        vectors: Tensor = checkpoint(encode, one.input_ids, use_reentrant=False)
        return vectors
