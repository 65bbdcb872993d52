"""How many texts a device can hold the activations of: a matter of the machine, which changes no result."""

import torch
from transformers import PretrainedConfig

from simlm.group import smallest

LAYER_STATES = 40
"""Vectors of ``hidden_size`` numbers, two bytes each, that a layer is taken to hold for each token. BERT's keeps 22
for its backward pass (counted under autocast to bfloat16 with dropout, attention fused); norms in float32, as on a GPU,
and what the backward pass itself holds for a while come on top."""
SHARE = 0.6
"""Of the memory that is free once the weights are there; their gradients and Adam's two moments take from the rest."""


def texts_that_fit(config: PretrainedConfig, length: int, device: torch.device) -> int:
    """How many texts of so many tokens can be trained on at once; 0, which stands for all, where it is not limited.

    On a GPU by its free memory; several processes are all told what fits the fullest, so that they cut batches alike.
    On a CPU it is not: batches there are small ones.
    """
    if device.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    return smallest(texts_in(int(SHARE * free), config, length), device)


def texts_in(memory: int, config: PretrainedConfig, length: int) -> int:
    """How many texts of ``length`` tokens have their activations in ``memory`` bytes; at least one."""
    text = 2 * LAYER_STATES * config.num_hidden_layers * config.hidden_size * length
    return max(1, memory // text)
