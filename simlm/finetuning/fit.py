"""How many texts a device can hold the activations of: a matter of the machine, which changes no result."""

import torch
from transformers import PretrainedConfig

from simlm.distributed import smallest

LAYER_STATES = 40
"""Vectors of ``hidden_size`` numbers, two bytes each, that a layer is taken to hold for each token. BERT's keeps 22
for its backward pass (counted under autocast to bfloat16 with dropout, attention fused); norms in float32, as on a GPU,
and what the backward pass itself holds for a while come on top."""
PACKED_STATES = 20
"""The same where there is no padding, and norms pass half precision on: 64 queries with 16 passages of about 75 tokens
took 23.7 GB in all (reports/performance.md), 16 such vectors a token and layer with all that comes on top."""
BOTTLENECK_STATES = 28
"""The same of pre-training, with its decoder and losses: packs of 75,776 tokens took 34.6 GB, 23 such vectors."""
SHARE = 0.6
"""Of the memory that is free once the weights are there; their gradients and Adam's two moments take from the rest."""


def texts_that_fit(config: PretrainedConfig, length: int, device: torch.device, states: int = LAYER_STATES) -> int:
    """How many texts of so many tokens can be trained on at once; 0, which stands for all, where it is not limited.

    On a GPU by its free memory; several processes are all told what fits the fullest, so that they cut batches alike.
    On a CPU it is not: batches there are small ones. ``states``: what a layer is taken to hold, as ``LAYER_STATES``.
    """
    if device.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    return smallest(texts_in(int(SHARE * free), config, length, states), device)


def texts_in(memory: int, config: PretrainedConfig, length: int, states: int = LAYER_STATES) -> int:
    """How many texts of ``length`` tokens have their activations in ``memory`` bytes; at least one."""
    text = 2 * states * config.num_hidden_layers * config.hidden_size * length
    return max(1, memory // text)
