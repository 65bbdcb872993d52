"""BERT and ELECTRA over a pack: last hidden states, and [CLS] states with the last layer at [CLS] only."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers import BertModel, ElectraModel
from transformers.activations import GELUActivation

from simlm.packed.attention import attend, use_packed_attention
from simlm.packed.dropout import HashedDropout
from simlm.packed.gelu import Gelu
from simlm.packed.inputs import Pack
from simlm.pretraining.vocabulary_loss import compute_dtype

RECOMPILE_LIMIT = 128
"""Beyond it torch falls back to slow code silently; layers of all kinds and both modes share the count."""
SPLIT = 32
"""Rows whose gradients a program of torch's compiled layer norms adds up. Of large packs torch takes twice as many, two
at once, for which an H200 had not the registers: its slowest kernel by far."""
NORMALISED = ("BertSelfOutput", "BertOutput", "ElectraSelfOutput", "ElectraOutput")
"""What ends with a layer norm, which autocast takes and leaves in float32; their first argument is a product's."""
Body = BertModel | ElectraModel


def has_packed_form(encoder: nn.Module) -> TypeGuard[Body]:
    """Whether packs can go through an encoder: RoBERTa counts positions from elsewhere, others have other layers."""
    # A subclass may compute something else.
    return type(encoder) in (BertModel, ElectraModel)


def _rounded(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
    """Hand the states of a layer norm on in autocast's type: kept in float32 they are a third of a GPU's traffic."""
    return output.to(arguments[0].dtype)


def _swap(module: nn.Module) -> None:
    """Put what takes a GPU less time in the places of modules without weights."""
    for part in module.modules():
        for name, child in part.named_children():
            if type(child) is nn.Dropout:
                setattr(part, name, HashedDropout(child.p).train(child.training))
            elif type(child) is GELUActivation:
                setattr(part, name, Gelu())


def prepare(module: nn.Module, compiled: bool) -> None:
    """Let the BERT and ELECTRA layers inside ``module`` read packs, and compile them in place where it pays.

    One graph serves all layers of a kind, so that compiling costs seconds; a new (T, S) costs one more graph. Weights
    and their names stay. Under autocast, states pass from layer to layer in its type, norms being taken in float32.
    Padded batches still work: without boundaries the layers attend as SDPA does.
    """
    use_packed_attention(module)
    for part in module.modules():
        if type(part).__name__ in NORMALISED and _rounded not in part._forward_hooks.values():
            part.register_forward_hook(_rounded)
    if compiled:
        from torch._inductor import config as inductor

        _swap(module)
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        if hasattr(inductor.triton, "mix_order_reduction_split_size"):
            inductor.triton.mix_order_reduction_split_size = SPLIT
        for part in module.modules():
            if type(part).__name__ in ("BertLayer", "ElectraLayer", "BertEmbeddings", "ElectraEmbeddings"):
                part.compile(dynamic=False)


def embedded(body: Body, pack: Pack, input_ids: Tensor | None = None) -> Tensor:
    """(1, T, H): what the first layer reads, of other ``input_ids`` (1, T) than the pack's when given."""
    ids = pack.input_ids if input_ids is None else input_ids
    hidden: Tensor = body.embeddings(input_ids=ids, token_type_ids=pack.token_type_ids, position_ids=pack.position_ids)
    if isinstance(body, ElectraModel) and hasattr(body, "embeddings_project"):
        hidden = body.embeddings_project(hidden)
    return hidden.to(compute_dtype(hidden))


def through(layers: Iterable[Any], hidden: Tensor, pack: Pack) -> Tensor:
    """(1, T, H) through transformers' own layers."""
    for layer in layers:
        output = layer(hidden, None, **pack.bounds)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def hidden_states(body: Body, pack: Pack, input_ids: Tensor | None = None) -> Tensor:
    """Last hidden states (1, T, H), those of padded rows, one after the other."""
    return through(body.encoder.layer, embedded(body, pack, input_ids), pack)


def cls_states(body: Body, pack: Pack) -> Tensor:
    """Last-layer states of each passage's first token (passages, H), gradients included.

    The last layer needs keys and values everywhere, but queries, output and feed-forward at these tokens only.
    """
    layers: list[Any] = list(body.encoder.layer)
    hidden = through(layers[:-1], embedded(body, pack), pack).squeeze(0)
    layer = layers[-1]
    attention = layer.attention.self
    first = hidden.index_select(0, pack.firsts)  # (S, H)
    shape = (-1, attention.num_attention_heads, attention.attention_head_size)
    query = attention.query(first).view(shape)
    key, value = attention.key(hidden).view(shape), attention.value(hidden).view(shape)
    ones = torch.arange(len(first) + 1, dtype=torch.int32, device=hidden.device)
    dropout = float(attention.dropout.p) if attention.dropout.training else 0.0
    context = attend(
        query, key, value, ones, pack.cu_seq_lens, 1, pack.max_length, dropout, attention.attention_head_size**-0.5
    )
    attended = layer.attention.output(context.flatten(1), first)
    states: Tensor = layer.output(layer.intermediate(attended), attended)
    return states[: pack.passages]
