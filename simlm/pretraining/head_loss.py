"""The MLM head that an encoder shares with whatever is trained on top of it."""

from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM

from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss


def word_rows(model: BertForMaskedLM | ElectraForMaskedLM, states: Tensor) -> tuple[Tensor, nn.Linear]:
    """What the head's output layer reads of ``states`` (N, H), (N, E), and that layer (E -> V)."""
    if isinstance(model, BertForMaskedLM):
        head = model.cls.predictions
        return head.transform(states), head.decoder
    return model.generator_predictions(states), model.generator_lm_head


def head_loss(encoder: BertForMaskedLM, states: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the head's predictions from ``states`` (N, H) against ``targets`` (N,); 0 when N is 0."""
    return mean_vocabulary_loss(*word_rows(encoder, states), targets)
