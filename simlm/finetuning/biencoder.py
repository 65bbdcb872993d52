"""The bi-encoder: one encoder for queries and passages (Section 3.2)."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from simlm.distributed import rank
from simlm.finetuning.buckets import bucketed
from simlm.finetuning.cls import cls_states
from simlm.finetuning.gather import gather_embeddings, global_batch_loss
from simlm.finetuning.losses import contrastive_loss, distillation_loss
from simlm.finetuning.ranking import reciprocal_ranks


class BiEncoder(nn.Module):
    """Retriever1, Retriever2 and, with `alpha`, Retriever_distill.

    encoder: a BERT-like model, shared by both sides, which the caller loads and saves.
    temperature: what similarities are divided by in both losses (0.02 at paper scale).
    alpha: the weight of the contrastive loss beside distillation; None for a retriever without a teacher.
    scale_loss: whether several processes multiply the contrastive loss by their number (`global_batch_loss`).
    buckets: in how many pieces of similar length the passages of a batch are encoded (`bucketed`).
    rising: updates over which similarities' multiplier rises to 1 / temperature (`begin`); 0 for none.
    chunk: most texts of a side whose activations are held at once in training; 0 for all. Beyond it each piece is
    encoded without them, and again, with the same dropout, when its vectors have their gradients (GradCache, Gao et
    al., 2021): loss and gradients are those of one pass.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        temperature: float,
        alpha: float | None = None,
        scale_loss: bool = True,
        buckets: int = 1,
        chunk: int = 0,
        rising: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.temperature = temperature
        self.alpha = alpha
        self.scale_loss = scale_loss
        self.buckets = buckets
        self.chunk = chunk
        self.rising = rising
        self.begin(0)

    def begin(self, done: int) -> None:
        """Set what similarities are multiplied by in the update that follows `done` others, in both losses.

        max(1, min(1, done / rising) / temperature), as in the released scripts for Natural Questions; without `rising`
        1 / temperature always.
        """
        whole = done >= self.rising
        self.divisor = self.temperature if whole else 1 / max(1.0, done / self.rising / self.temperature)

    def encode(self, inputs: Mapping[str, Tensor], buckets: int = 1) -> Tensor:
        """(N, L) inputs, padded on the right -> (N, d) float32: the last layer's [CLS], L2-normalised."""
        encode = partial(cls_states, self.encoder)
        texts = len(inputs["input_ids"])
        if torch.is_grad_enabled() and 0 < self.chunk < texts:
            # Checkpointing keeps a piece's inputs and random state alone, and replays it in the backward pass.
            replayed = partial(checkpoint, encode, use_reentrant=False)
            states = bucketed(replayed, inputs, max(buckets, -(-texts // self.chunk)))
        else:
            states = bucketed(encode, inputs, buckets)
        return functional.normalize(states.float(), dim=-1)

    def forward(
        self,
        queries: Mapping[str, Tensor],
        passages: Mapping[str, Tensor],
        teacher_scores: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Loss of B queries with n passages each; inputs (B, L) and (B n, L'), group-major, positives first.

        With several processes the contrastive loss sees all their queries and passages. teacher_scores:
        (B, n) raw logits of the re-ranker; with them the loss is KL + alpha x contrastive, hard negatives
        included in both, without them the contrastive loss alone.
        Returns `loss`, and without gradient `reciprocal_ranks` (B) of each positive among all passages of
        the global batch, `accuracy` (their share of ones), and with teacher scores the two parts,
        `distillation` and `contrastive`. Raises ValueError for teacher scores without an alpha, and for an
        alpha without teacher scores in training; evaluation can do without.
        """
        self.check(teacher_scores)
        return self.losses(self.encode(queries), self.encode(passages, self.buckets), teacher_scores)

    def check(self, teacher_scores: Tensor | None) -> None:
        """ValueError for teacher scores without an alpha, and for an alpha without teacher scores in training."""
        if self.alpha is None and teacher_scores is not None:
            raise ValueError("teacher scores, but no alpha to weigh the contrastive loss beside them")
        if self.alpha is not None and teacher_scores is None and self.training:
            raise ValueError("a bi-encoder with an alpha trains with teacher scores")

    def losses(self, own_queries: Tensor, own_passages: Tensor, teacher_scores: Tensor | None) -> dict[str, Tensor]:
        """What `forward` returns, from the vectors (B, d) and (B n, d)."""
        all_queries, all_passages = gather_embeddings(own_queries), gather_embeddings(own_passages)
        contrastive = contrastive_loss(all_queries, all_passages, self.divisor)
        loss = global_batch_loss(contrastive, self.scale_loss)
        parts: dict[str, Tensor] = {}
        if teacher_scores is not None and self.alpha is not None:
            groups = own_passages.view(*teacher_scores.shape, -1)  # (B, n, d)
            with torch.autocast(own_queries.device.type, enabled=False):
                student = torch.einsum("bd,bnd->bn", own_queries, groups) / self.divisor
            distillation = distillation_loss(student, teacher_scores)
            loss = distillation + self.alpha * loss
            parts = {"distillation": distillation.detach(), "contrastive": contrastive.detach()}
        group = len(own_passages) // len(own_queries)
        ranks = reciprocal_ranks(own_queries, all_passages, group, first=rank() * len(own_passages))
        return {"loss": loss, "reciprocal_ranks": ranks, "accuracy": (ranks == 1).float().mean(), **parts}
