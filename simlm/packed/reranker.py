"""The re-ranker over packs of (query, passage) pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from simlm.data.inputs import Encoded
from simlm.finetuning.losses import r_drop_listwise_loss
from simlm.finetuning.ranking import top_1_accuracy
from simlm.finetuning.reranker import best
from simlm.packed.forwards import cls_states
from simlm.packed.inputs import OnDevice, Pack, even_parts
from simlm.packed.limits import MAX_TOKENS
from simlm.packed.packer import Packer


@dataclass(frozen=True)
class RerankerPacks(OnDevice):
    """A part of a batch: whole groups of ``group_size`` pairs each, group-major, positives first.

    rows: its pairs, from which those that are kept are packed again. choosing: packs of them all, by whose scores each
    group's ``keep`` best are chosen; none where all are kept. share: of the batch's queries.
    """

    rows: list[Encoded]
    choosing: tuple[Pack, ...]
    group_size: int
    keep: int
    share: float
    packer: Packer

    @property
    def tokens(self) -> int:
        """How many there are, each pair's once."""
        return sum(len(ids) for ids, _ in self.rows)


@dataclass(frozen=True)
class RerankerPacker:
    """Groups of n pairs -> parts of whole groups, whose losses, added up, are the mean over all queries.

    max_tokens: of a part's two dropout passes together, at most those of the longest pairs that can be kept. The
    choosing pass, whose activations nothing holds, has packs of as many.
    """

    packer: Packer
    keep: int
    max_tokens: int = MAX_TOKENS

    def __call__(self, groups: Sequence[list[Encoded]], micro_batch: int = 0) -> list[RerankerPacks]:
        """``micro_batch`` counts nothing: queries are what is averaged. ValueError when ``keep`` is below 2."""
        if self.keep < 2:
            raise ValueError(f"keep {self.keep} is below 2")
        most = np.array([self._at_most(group) for group in groups])
        return list(self._parts(groups, even_parts(most, self.max_tokens)))

    def _at_most(self, group: Sequence[Encoded]) -> int:
        positive, *others = [len(ids) for ids, _ in group]
        return 2 * (positive + sum(sorted(others, reverse=True)[: self.keep - 1]))

    def _parts(self, groups: Sequence[list[Encoded]], parts: Iterator[slice]) -> Iterator[RerankerPacks]:
        size = len(groups[0])
        for part in parts:
            own = groups[part]
            rows = [pair for group in own for pair in group]
            choosing = self.packer.packs(rows, self.max_tokens) if self.keep < size else ()
            yield RerankerPacks(rows, choosing, size, self.keep, len(own) / len(groups), self.packer)


class PackedReranker(nn.Module):
    """Scores pairs and trains listwise with R-Drop, as ``Reranker``; ``prepare`` must have been called with ``model``.

    model: an ElectraForSequenceClassification with one label.
    """

    def __init__(self, model: ElectraForSequenceClassification) -> None:
        super().__init__()
        self.model = model

    def score(self, pairs: Pack) -> Tensor:
        """Raw logits (N,) of a pack of N pairs, float32."""
        features = cls_states(self.model.electra, pairs)[:, None]  # the head reads position 0
        # In half precision many of a query's logits would be equal.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.model.classifier(features.to(self.model.classifier.out_proj.weight.dtype))
        return logits[:, 0].float()

    def forward(self, part: RerankerPacks) -> dict[str, Tensor]:
        """The part's share of the training loss.

        A pass without gradient in eval mode keeps each query's best pairs, the positive always; two dropout passes over
        these, in one pack, give the R-Drop loss. Returns ``loss``, and without gradient ``accuracy``, shares both, and
        ``scores`` (queries, n) of the n pairs that were kept.
        """
        rows = self._kept(part) if part.choosing else part.rows
        (both,) = part.packer.packs([*rows, *rows])
        scores = self.score(both.to(self.model.device)).view(2, -1, min(part.keep, part.group_size))
        mean = scores.detach().mean(dim=0)
        loss = r_drop_listwise_loss(scores[0], scores[1])
        return {"loss": loss * part.share, "scores": mean, "accuracy": top_1_accuracy(mean) * part.share}

    def _kept(self, part: RerankerPacks) -> list[Encoded]:
        was_training = self.training
        self.eval()
        with torch.no_grad():
            scores = torch.cat([self.score(one) for one in part.choosing]).view(-1, part.group_size)
        self.train(was_training)
        chosen = best(scores, part.keep).tolist()
        return [
            part.rows[group * part.group_size + column] for group, columns in enumerate(chosen) for column in columns
        ]
