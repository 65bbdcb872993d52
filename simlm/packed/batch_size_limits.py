"""How many texts a device has the memory to train on at once: a matter of the machine, which changes no result."""

import torch
from transformers import PretrainedConfig

from simlm.distributed import smallest

LAYER_STATES = 40
"""Vectors of ``hidden_size`` numbers, two bytes each, that a layer is assumed to hold for each token. BERT's layer
keeps 22 for its backward pass (counted under autocast to bfloat16 with dropout and fused attention). Layer norms in
float32, as on a GPU, and what the backward pass itself holds for a while come on top."""
PACKED_STATES = 20
"""The same without padding, where layer norms hand on half precision: 64 queries with 16 passages of about 75 tokens
took 23.7 GB in all (reports/performance.md), which is 16 such vectors a token and layer with everything on top."""
BOTTLENECK_STATES = 28
"""The same in pre-training, with decoder and losses: packs of 75,776 tokens took 34.6 GB, 23 such vectors."""
SHARE = 0.6
"""Share of the free memory, once the weights are there, that activations may take; the weights' gradients and Adam's
two moments take from the rest."""


def texts_that_fit(config: PretrainedConfig, length: int, device: torch.device, states: int = LAYER_STATES) -> int:
    """Return how many texts can be trained on at once, by the free memory of a GPU; 0 on a CPU: no limit there.

    Of several processes all get the number that fits the fullest GPU, so that they cut batches alike.

    Args:
        config: the encoder's.
        length: tokens of a text.
        states: vectors that a layer holds for each token, as ``LAYER_STATES``.
    """
    if device.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    return smallest(texts_in(int(SHARE * free), config, length, states), device)


def texts_in(memory: int, config: PretrainedConfig, length: int, states: int = LAYER_STATES) -> int:
    """Return how many texts of ``length`` tokens have their activations in ``memory`` bytes; at least one."""
    text = 2 * states * config.num_hidden_layers * config.hidden_size * length
    return max(1, memory // text)
