"""The last layer's [CLS] vector, without computing that layer for any other position."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel, ElectraModel, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask


def cls_states(encoder: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """(N, L) inputs -> (N, hidden) last-layer states at position 0.

    inputs: input_ids, attention_mask, token_type_ids. Equal to `encoder(**inputs).last_hidden_state[:, 0]`,
    gradients included. In a BERT or ELECTRA encoder the last layer needs keys and values everywhere but
    queries, output and feed-forward only at position 0, which saves most of that layer: about a fifth of a
    four-layer encoder. Other encoders run whole.
    """
    if not isinstance(encoder, BertModel | ElectraModel):
        states: Tensor = encoder(**inputs).last_hidden_state
        return states[:, 0]
    mask = inputs["attention_mask"]
    hidden = encoder.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs["token_type_ids"])
    if isinstance(encoder, ElectraModel) and hasattr(encoder, "embeddings_project"):
        hidden = encoder.embeddings_project(hidden)
    layers = list(encoder.encoder.layer)
    full = create_bidirectional_mask(config=encoder.config, inputs_embeds=hidden, attention_mask=mask)
    for layer in layers[:-1]:
        hidden = layer(hidden, full)
    return _last_layer(layers[-1], hidden, mask)


def _last_layer(layer: nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:
    attention = layer.get_submodule("attention.self")
    heads = (attention.num_attention_heads, attention.attention_head_size)
    first = hidden[:, :1]  # (N, 1, hidden)
    query, key, value = (
        attention.get_submodule(name)(states).view(*states.shape[:2], *heads).transpose(1, 2)
        for name, states in (("query", first), ("key", hidden), ("value", hidden))
    )  # (N, heads, 1 or L, hidden / heads)
    dropout = attention.get_submodule("dropout")
    context = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask[:, None, None, :].to(torch.bool),
        dropout_p=float(dropout.p) if isinstance(dropout, nn.Dropout) and dropout.training else 0.0,
    )
    context = context.transpose(1, 2).flatten(2)  # (N, 1, hidden)
    attended = layer.get_submodule("attention.output")(context, first)
    output: Tensor = layer.get_submodule("output")(layer.get_submodule("intermediate")(attended), attended)
    return output[:, 0]
