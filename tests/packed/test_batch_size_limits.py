"""How many texts fit: enough room for what a layer really keeps, and no limit on a CPU."""

from typing import Any

import torch
from transformers import BertConfig, BertModel

from simlm.packed.batch_size_limits import LAYER_STATES, texts_in, texts_that_fit

SIZE: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2, "vocab_size": 50}


def held(layers: int, texts: int, length: int) -> int:
    """Bytes that a training pass keeps for its backward pass, parameters left out."""
    model = BertModel(BertConfig(**SIZE, num_hidden_layers=layers, attn_implementation="sdpa"), False).train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.randint(5, 50, (texts, length))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert states.last_hidden_state.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_a_layer_keeps_less_than_it_is_given() -> None:
    # Of two layers beyond the first, and without what does not grow with the texts.
    (few, fewer), (many, more) = [[held(layers, texts, 32) for layers in (1, 3)] for texts in (2, 6)]
    vectors = ((more - many) - (fewer - few)) / (2 * 4 * 32 * SIZE["hidden_size"] * 2)
    assert LAYER_STATES / 4 < vectors < LAYER_STATES


def test_twice_the_memory_holds_twice_the_texts() -> None:
    config = BertConfig()
    text = 2 * LAYER_STATES * 12 * 768 * 144
    assert [texts_in(memory, config, 144) for memory in (0, text, 5 * text, 10 * text + 1)] == [1, 1, 5, 10]
    assert texts_in(10 * text, config, 288) == 5
    assert texts_in(10 * text, config, 144, LAYER_STATES // 2) == 20
    assert texts_that_fit(config, 144, torch.device("cpu")) == 0
