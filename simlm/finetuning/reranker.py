"""The re-ranker: a cross-encoder with one logit for a (query, passage) pair (Section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from simlm.data.inputs import Encoded
from simlm.finetuning.losses import r_drop_listwise_loss, top_1_accuracy
from simlm.packed.cls_pooling import Inputs, cls_states
from simlm.packed.pack import OnDevice, even_parts
from simlm.packed.texts import Layout, Packed, Texts


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


@dataclass(frozen=True)
class RerankerCollator:
    """Makes batches of groups of n pairs, in a layout.

    Attributes:
        layout: how pairs are laid out.
        keep: pairs of a group that are trained on.
    """

    layout: Layout
    keep: int

    def __call__(self, groups: Sequence[list[Encoded]]) -> RerankerBatch:
        """Return one batch of all groups; ValueError if only the positives would be kept."""
        return self._batch(groups, 1.0)

    def parts(self, groups: Sequence[list[Encoded]], micro_batch: int = 0) -> list[RerankerBatch]:
        """Return packed batches of whole groups whose losses, added up, are the mean over all queries.

        A batch's two dropout passes together have at most as many tokens as a pack of the layout, reckoned by the
        longest pairs that can be kept, and up to a group more; nothing holds the activations of the pass that chooses
        pairs. ``micro_batch`` counts nothing: queries are what is averaged.
        """
        assert isinstance(self.layout, Packed), "padded pairs are one batch"
        most = np.array([self._at_most(group) for group in groups])
        parts = even_parts(most, self.layout.packer.max_tokens or int(most.sum()))
        return [self._batch(groups[part], len(groups[part]) / len(groups)) for part in parts]

    def _batch(self, groups: Sequence[list[Encoded]], share: float) -> RerankerBatch:
        if self.keep < 2:
            raise ValueError(f"keep {self.keep} is below 2")
        pairs = self.layout.texts([pair for group in groups for pair in group], keep_rows=True)
        return RerankerBatch(pairs, len(groups[0]), self.keep, share)

    def _at_most(self, group: Sequence[Encoded]) -> int:
        positive, *others = [len(ids) for ids, _ in group]
        return 2 * (positive + sum(sorted(others, reverse=True)[: self.keep - 1]))


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
        when all are kept. Two dropout passes over those, in one doubled batch, give the R-Drop loss. Without dropout
        they would be the same, and there is one.

        Returns:
            ``loss``, and without gradient ``accuracy``, the share of queries whose positive scores above all others;
            both are multiplied by the part's share. ``scores`` (B, n) of the kept pairs, positive first, are the means
            of the two passes.
        """
        places = self._kept(batch)
        passes = 2 if any(part.p for part in self.modules() if isinstance(part, nn.Dropout)) else 1
        repeated = batch.pairs.take(places.repeat(passes))
        scores = repeated.apply(self.score).view(passes, -1, min(batch.keep, batch.group_size))  # (passes, B, n)
        mean = scores.detach().mean(dim=0)
        loss = r_drop_listwise_loss(scores[0], scores[-1])
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
