"""The bi-encoder: one encoder for queries and passages (Section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from simlm.data.inputs import Encoded
from simlm.distributed import rank
from simlm.finetuning.losses import (
    contrastive_loss,
    distillation_loss,
    gather_embeddings,
    global_batch_loss,
    reciprocal_ranks,
)
from simlm.packed.cls_pooling import Inputs, cls_states
from simlm.packed.pack import OnDevice
from simlm.packed.texts import Layout, Texts


class BiEncoderGroup(NamedTuple):
    """A query, its n passages with the positive first, and the teacher's logits (n) for them."""

    query: Encoded
    passages: list[Encoded]
    teacher_scores: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class BiEncoderBatch(OnDevice):
    """B queries with n passages each.

    Attributes:
        texts: the queries and then the passages, group-major and positives first, apart or together.
        queries: B.
        teacher_scores: float32 (B, n), raw logits of the re-ranker; None without a teacher.
    """

    texts: tuple[Texts, ...]
    queries: int
    teacher_scores: Tensor | None = None

    @property
    def tokens(self) -> int:
        """How many tokens are real."""
        return sum(texts.tokens for texts in self.texts)


@dataclass(frozen=True)
class BiEncoderCollator:
    """Makes one batch of B groups, in a layout."""

    layout: Layout

    def __call__(self, groups: Sequence[BiEncoderGroup]) -> BiEncoderBatch:
        scores = [group.teacher_scores for group in groups if group.teacher_scores is not None]
        texts = self.layout.sides(
            [group.query for group in groups], [passage for group in groups for passage in group.passages]
        )
        return BiEncoderBatch(texts, len(groups), torch.from_numpy(np.stack(scores)) if scores else None)


class BiEncoder(nn.Module):
    """Retriever1, Retriever2 and, with ``alpha``, Retriever_distill.

    Args:
        encoder: a BERT-like model, shared by both sides, which the caller loads and saves.
        temperature: what similarities are divided by in both losses (0.02 at paper scale).
        alpha: the weight of the contrastive loss beside distillation; None for a retriever without a teacher.
        scale_loss: whether several processes multiply the contrastive loss by their number (`global_batch_loss`).
        temperature_warmup: updates over which the temperature falls to its final value (`begin_update`); 0 for none.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        temperature: float,
        alpha: float | None = None,
        scale_loss: bool = True,
        temperature_warmup: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.temperature = temperature
        self.alpha = alpha
        self.scale_loss = scale_loss
        self.temperature_warmup = temperature_warmup
        self.begin_update(0)

    def begin_update(self, done: int) -> None:
        """Set the temperature of the update that follows ``done`` others.

        Similarities are multiplied by max(1, min(1, done / warm-up) / temperature), as in the released scripts for
        Natural Questions; without a warm-up always by 1 / temperature.
        """
        over = done >= self.temperature_warmup
        multiplier = 1.0 if over else max(1.0, done / self.temperature_warmup / self.temperature)
        self.current_temperature = self.temperature if over else 1 / multiplier

    def encode(self, inputs: Inputs) -> Tensor:
        """Return the vectors of N texts, float32 (N, d): the last layer's [CLS] states, L2-normalised."""
        return functional.normalize(cls_states(self.encoder, inputs).float(), dim=-1)

    def forward(self, batch: BiEncoderBatch) -> dict[str, Tensor]:
        """Compute the loss of a batch; with several processes the contrastive loss sees the batches of all.

        With teacher scores the loss is KL + alpha x contrastive, hard negatives included in both, without them the
        contrastive loss alone.

        Returns:
            ``loss``, and without gradient ``reciprocal_ranks`` (B) of each positive among all passages of the global
            batch, ``accuracy`` (their share of ones), and with teacher scores the two summands, ``distillation`` and
            ``contrastive``.

        Raises:
            ValueError: for teacher scores without an alpha, and for an alpha without teacher scores in training.
        """
        if self.alpha is None and batch.teacher_scores is not None:
            raise ValueError("teacher scores, but no alpha to weigh the contrastive loss beside them")
        if self.alpha is not None and batch.teacher_scores is None and self.training:
            raise ValueError("a bi-encoder with an alpha trains with teacher scores")
        vectors = torch.cat([texts.apply(self.encode) for texts in batch.texts])
        return self.losses(vectors[: batch.queries], vectors[batch.queries :], batch.teacher_scores)

    def losses(self, own_queries: Tensor, own_passages: Tensor, teacher_scores: Tensor | None) -> dict[str, Tensor]:
        """Return what `forward` returns, from the vectors (B, d) and (B n, d)."""
        all_queries, all_passages = gather_embeddings(own_queries), gather_embeddings(own_passages)
        contrastive = contrastive_loss(all_queries, all_passages, self.current_temperature)
        loss = global_batch_loss(contrastive, self.scale_loss)
        summands: dict[str, Tensor] = {}
        if teacher_scores is not None and self.alpha is not None:
            groups = own_passages.view(*teacher_scores.shape, -1)  # (B, n, d)
            with torch.autocast(own_queries.device.type, enabled=False):
                student = torch.einsum("bd,bnd->bn", own_queries, groups) / self.current_temperature
            distillation = distillation_loss(student, teacher_scores)
            loss = distillation + self.alpha * loss
            summands = {"distillation": distillation.detach(), "contrastive": contrastive.detach()}
        group = len(own_passages) // len(own_queries)
        ranks = reciprocal_ranks(own_queries, all_passages, group, first=rank() * len(own_passages))
        return {"loss": loss, "reciprocal_ranks": ranks, "accuracy": (ranks == 1).float().mean(), **summands}
