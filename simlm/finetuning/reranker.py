"""The re-ranker: a cross-encoder with one logit for a (query, passage) pair (Section 3.2)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertModel, ElectraConfig, ElectraForSequenceClassification, ElectraModel

from simlm.finetuning.buckets import bucketed, trim
from simlm.finetuning.cls import cls_states
from simlm.finetuning.losses import listwise_loss, r_drop_listwise_loss
from simlm.finetuning.ranking import top_1_accuracy

# What describes a checkpoint rather than an architecture.
_NOT_COPIED = ("model_type", "architectures", "id2label", "label2id", "transformers_version", "_name_or_path")


def reranker_from_encoder(encoder: BertModel | ElectraModel) -> ElectraForSequenceClassification:
    """An encoder under ELECTRA's head: dropout, dense, GELU, dropout, linear, one logit.

    The encoder's weights are copied and give the same hidden states: an ELECTRA encoder without a projection
    of its embeddings is a BERT encoder. BERT's pooler has no part in it. The head is drawn from torch's
    global generator, which the caller seeds. Attention implementation and dropout rates stay the encoder's.
    Raises TypeError for another kind of encoder.
    """
    if not isinstance(encoder, BertModel | ElectraModel):
        raise TypeError(f"a re-ranker comes from a BertModel or ElectraModel, not a {type(encoder).__name__}")
    own: dict[str, Any] = encoder.config.to_dict()
    settings = {name: value for name, value in own.items() if name not in _NOT_COPIED}
    settings.setdefault("embedding_size", encoder.config.hidden_size)
    settings |= {"num_labels": 1, "attn_implementation": encoder.config._attn_implementation}
    model = ElectraForSequenceClassification(ElectraConfig(**settings))
    weights = encoder.state_dict().items()
    model.electra.load_state_dict({key: value for key, value in weights if not key.startswith("pooler.")})
    return model


class Reranker(nn.Module):
    """Scores (query, passage) pairs; trains listwise with R-Drop.

    model: an ElectraForSequenceClassification with one label, which the caller loads and saves.
    buckets: in how many pieces of similar length the pairs of a batch are scored (`bucketed`).
    """

    def __init__(self, model: ElectraForSequenceClassification, buckets: int = 1) -> None:
        super().__init__()
        if model.config.num_labels != 1:
            raise ValueError(f"a re-ranker has one logit, this model has {model.config.num_labels}")
        self.model = model
        self.buckets = buckets

    def score(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(N, L) pair inputs, padded on the right -> (N,) raw logits, float32."""
        return bucketed(self._logits, inputs, self.buckets).float()

    def _logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = cls_states(self.model.electra, inputs)[:, None]  # the head reads position 0
        logits: Tensor = self.model.classifier(features)
        return logits[:, 0]

    def forward(self, inputs: Mapping[str, Tensor], group_size: int, keep: int) -> dict[str, Tensor]:
        """Loss of B queries with `group_size` pairs each, group-major, positives first.

        inputs: (B group_size, L). A pass without gradient in eval mode keeps each query's `keep` best pairs,
        the positive always, also in evaluation; it is skipped when all are kept. In training, two dropout
        passes over those (one doubled batch) give the R-Drop loss; in evaluation the listwise loss takes the
        first pass's own scores.
        Returns `loss`, and without gradient `scores` (B, n) of the kept pairs, positive first, n being
        min(keep, group_size), the mean of the two passes in training, and `accuracy`, the share of queries
        whose positive scores above all others. Raises ValueError when the pairs do not divide into groups or
        keep is below 2.
        """
        pairs = inputs["input_ids"].shape[0]
        if pairs % group_size or keep < 2:
            raise ValueError(f"{pairs} pairs do not fit groups of {group_size}, or keep {keep} is below 2")
        if not self.training:
            scores = self.score(inputs).view(-1, group_size)
            scores = scores.gather(1, best(scores, keep))
            loss = listwise_loss(scores)
            return {"loss": loss, "scores": scores.detach(), "accuracy": top_1_accuracy(scores)}
        if keep < group_size:
            inputs = self._kept(inputs, group_size, keep)
        doubled = {name: torch.cat([tensor, tensor]) for name, tensor in inputs.items()}
        scores = self.score(doubled).view(2, -1, min(keep, group_size))  # (2, B, n)
        loss = r_drop_listwise_loss(scores[0], scores[1])
        mean = scores.detach().mean(dim=0)
        return {"loss": loss, "scores": mean, "accuracy": top_1_accuracy(mean)}

    def _kept(self, inputs: Mapping[str, Tensor], group_size: int, keep: int) -> dict[str, Tensor]:
        with torch.no_grad(), _evaluating(self):
            scores = self.score(inputs).view(-1, group_size)  # (B, group_size)
        first = torch.arange(0, scores.numel(), group_size, device=scores.device)
        rows = (first[:, None] + best(scores, keep)).flatten()
        return trim({name: tensor[rows] for name, tensor in inputs.items()})


def best(scores: Tensor, keep: int) -> Tensor:
    """(B, n) scores -> (B, min(keep, n)) columns: the positive's, 0, then the best others."""
    others = scores[:, 1:].topk(min(keep, scores.shape[1]) - 1, dim=1).indices + 1
    return torch.cat([torch.zeros_like(others[:, :1]), others], dim=1)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    module.eval()
    try:
        yield
    finally:
        module.train()
