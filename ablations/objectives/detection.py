"""Replaced token detection (Clark et al., ICLR 2020): is a token the original, or did a generator put it there?"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import BertForMaskedLM

from simlm.pretraining.batch import Batch


def detection_head(width: int, spread: float, seed: int) -> nn.Sequential:
    """Make a head (N, width) -> (N, 1): dense, GELU, linear, as in ELECTRA's discriminator.

    Fresh as BERT's layers are: normal weights of standard deviation ``spread``, which depend on ``seed`` alone, and
    biases of 0.
    """
    head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
    rng = torch.Generator().manual_seed(seed)
    for name, weight in head.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        else:
            nn.init.normal_(weight, std=spread, generator=rng)
    return head


def detection_loss(head: nn.Sequential, batch: Batch, hidden: Tensor, read: Tensor, mask: str) -> Tensor:
    """Return the mean binary cross-entropy of telling, at the places of a mask, replaced tokens from original ones.

    ``read`` (tokens) are those that the encoder read, ``hidden`` (tokens, H) the states that tell them apart.
    """
    logits = head(batch.at(hidden, mask)).squeeze(1)  # (M,)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # autocast leaves them in half precision
    replaced = batch.at(read != batch["input_ids"], mask).to(logits)
    return batch.mean(binary_cross_entropy_with_logits(logits, replaced, reduction="none"), mask)


def freeze_vocabulary_head(encoder: BertForMaskedLM) -> None:
    """Freeze BERT's MLM head, which has no part in detection.

    Its output matrix goes on learning as the embeddings. Distributed training waits for a gradient of whatever can be
    trained.
    """
    embeddings = encoder.bert.embeddings.word_embeddings.weight
    for weight in encoder.cls.parameters():
        if weight is not embeddings:
            weight.requires_grad_(False)
