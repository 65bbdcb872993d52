"""BERT's own MLM head, shared by an objective's encoder and by the head or decoder on top of it."""

from torch import Tensor
from transformers import BertForMaskedLM

from simlm.pretraining.vocabulary_loss import vocabulary_loss


def head_loss(encoder: BertForMaskedLM, states: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the head's predictions from ``states`` (N, H) against ``targets`` (N,); 0 when N is 0."""
    head = encoder.cls.predictions
    rows = head.transform(states)  # (N, H)
    return vocabulary_loss(rows, head.decoder.weight, head.decoder.bias, targets) / max(1, len(targets))
