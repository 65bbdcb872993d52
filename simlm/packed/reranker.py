"""The re-ranker over packs of (query, passage) pairs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from simlm.data.inputs import Encoded
from simlm.finetuning.losses import r_drop_listwise_loss
from simlm.finetuning.ranking import top_1_accuracy
from simlm.finetuning.reranker import best
from simlm.packed.forwards import cls_states
from simlm.packed.inputs import Pack

MakePack = Callable[[Sequence[Encoded]], Pack]


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

    def forward(self, rows: Sequence[Encoded], group_size: int, keep: int, packed: MakePack) -> dict[str, Tensor]:
        """The training loss of B queries with ``group_size`` pairs each, group-major, positives first.

        A pass without gradient in eval mode keeps each query's ``keep`` best pairs, the positive always; two dropout
        passes over these, in one pack, give the R-Drop loss. ``packed`` makes a pack on the model's device. Returns
        ``loss``, and without gradient ``scores`` (B, keep) and ``accuracy``.
        """
        if keep < group_size:
            rows = self._kept(rows, group_size, keep, packed)
        scores = self.score(packed([*rows, *rows])).view(2, -1, min(keep, group_size))
        mean = scores.detach().mean(dim=0)
        loss = r_drop_listwise_loss(scores[0], scores[1])
        return {"loss": loss, "scores": mean, "accuracy": top_1_accuracy(mean)}

    def _kept(self, rows: Sequence[Encoded], group_size: int, keep: int, packed: MakePack) -> list[Encoded]:
        was_training = self.training
        self.eval()
        with torch.no_grad():
            scores = self.score(packed(rows)).view(-1, group_size)
        self.train(was_training)
        chosen = best(scores, keep).tolist()
        return [rows[group * group_size + column] for group, columns in enumerate(chosen) for column in columns]
