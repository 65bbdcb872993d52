"""The loss of BERT's own MLM head, the one that an encoder shares with whatever is trained on top of it."""

from torch import Tensor
from transformers import BertForMaskedLM

from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss


def head_loss(encoder: BertForMaskedLM, states: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the head's predictions from ``states`` (N, H) against ``targets`` (N,); 0 when N is 0."""
    head = encoder.cls.predictions
    return mean_vocabulary_loss(head.transform(states), head.decoder, targets)
