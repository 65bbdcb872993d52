"""The re-ranker: a cross-encoder with one logit for a (query, passage) pair (Section 3.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from simlm.finetuning.losses import r_drop_listwise_loss, top_1_accuracy
from simlm.packed.cls_pooling import Inputs, cls_states
from simlm.packed.pack import OnDevice
from simlm.packed.texts import Texts


@dataclass(frozen=True)
class RerankerBatch(OnDevice):
    """Groups of pairs: a query with each of its n passages.

    Attributes:
        pairs: group-major, positives first.
        group_size: n.
        keep: pairs of each group that are trained on, at least 2.
        share: these groups' share of the batch's queries.
    """

    pairs: Texts
    group_size: int
    keep: int
    share: float = 1.0

    @property
    def tokens(self) -> int:
        """How many tokens are real."""
        return self.pairs.tokens


class Reranker(nn.Module):
    """Scores (query, passage) pairs; trains listwise with R-Drop.

    Args:
        model: an ElectraForSequenceClassification with one label, which the caller loads and saves.
    """

    def __init__(self, model: ElectraForSequenceClassification) -> None:
        super().__init__()
        if model.config.num_labels != 1:
            raise ValueError(f"a re-ranker has one logit, this model has {model.config.num_labels}")
        self.model = model

    def score(self, pairs: Inputs) -> Tensor:
        """Return the raw logits of N pairs, float32 (N,)."""
        features = cls_states(self.model.electra, pairs)[:, None]  # the head reads position 0
        # In half precision many of a query's logits would be equal.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.model.classifier(features.to(self.model.classifier.out_proj.weight.dtype))
        return logits[:, 0].float()

    def forward(self, batch: RerankerBatch) -> dict[str, Tensor]:
        """Compute a part's share of the training loss.

        A pass without gradient in evaluation mode keeps each query's best pairs, the positive always; it is skipped
        when all are kept. Two dropout passes over those, in one doubled batch, give the R-Drop loss.

        Returns:
            ``loss``, and without gradient ``accuracy``, the share of queries whose positive scores above all others;
            both are multiplied by the part's share. ``scores`` (B, n) of the kept pairs, positive first, are the means
            of the two passes.
        """
        places = self._kept(batch)
        doubled = batch.pairs.take(torch.cat([places, places]))
        scores = doubled.apply(self.score).view(2, -1, min(batch.keep, batch.group_size))  # (2, B, n)
        mean = scores.detach().mean(dim=0)
        loss = r_drop_listwise_loss(scores[0], scores[1])
        return {"loss": loss * batch.share, "scores": mean, "accuracy": top_1_accuracy(mean) * batch.share}

    def _kept(self, batch: RerankerBatch) -> Tensor:
        """Return the places of the pairs that are trained on, (B n,), group by group."""
        if batch.keep >= batch.group_size:
            return torch.arange(len(batch.pairs), device=self.model.device)
        was_training = self.training
        self.eval()
        with torch.no_grad():
            scores = batch.pairs.apply(self.score).view(-1, batch.group_size)
        self.train(was_training)
        first = torch.arange(0, scores.numel(), batch.group_size, device=scores.device)
        return (first[:, None] + best(scores, batch.keep)).flatten()


def best(scores: Tensor, keep: int) -> Tensor:
    """Return the columns of the best scores of (B, n), (B, min(keep, n)): the positive's, 0, then the best others."""
    others = scores[:, 1:].topk(min(keep, scores.shape[1]) - 1, dim=1).indices + 1
    return torch.cat([torch.zeros_like(others[:, :1]), others], dim=1)
