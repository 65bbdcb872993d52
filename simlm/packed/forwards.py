"""BERT and ELECTRA over a pack: layers that attend within its texts, compiled on a GPU."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers import BertModel, ElectraModel
from transformers.activations import GELUActivation

from simlm.packed.attention import use_packed_attention
from simlm.packed.fast_layers import Gelu, HashedDropout
from simlm.packed.pack import Pack

RECOMPILE_LIMIT = 128
"""Beyond so many compiled versions of a layer torch uses slow code without a word; all kinds of layers and both modes
count together."""
SPLIT = 32
"""Rows whose gradients one program of torch's compiled layer norms adds up. For large packs torch takes 64, for which
an H200 had too few registers: that was its slowest kernel by far."""
NORMALISED = ("BertSelfOutput", "BertOutput", "ElectraSelfOutput", "ElectraOutput")
"""Modules that end with a layer norm, which autocast computes and leaves in float32; the first argument of each is the
result of a product."""
Body = BertModel | ElectraModel


def has_packed_form(encoder: nn.Module) -> TypeGuard[Body]:
    """Tell whether packs can go through an encoder.

    RoBERTa counts positions from elsewhere, and others have other layers.
    """
    # A subclass may compute something else.
    return type(encoder) in (BertModel, ElectraModel)


def compute_dtype(states: Tensor) -> torch.dtype:
    """Return the type in which products of ``states`` are computed: autocast's where it is on."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def _rounded(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
    """Hand a layer norm's states on in autocast's type: kept in float32 they are a third of a GPU's memory traffic."""
    return output.to(arguments[0].dtype)


def _swap(module: nn.Module) -> None:
    """Replace torch's dropout and GELU by faster ones, in place; they have no weights."""
    for part in module.modules():
        for name, child in part.named_children():
            if type(child) is nn.Dropout:
                setattr(part, name, HashedDropout(child.p).train(child.training))
            elif type(child) is GELUActivation:
                setattr(part, name, Gelu())


def prepare(module: nn.Module, compiled: bool) -> None:
    """Let the BERT and ELECTRA layers inside ``module`` read packs, in place.

    Weights and their names stay. Padded batches still work: without boundaries the layers attend as torch's scaled
    dot-product attention does. Under autocast, states pass from layer to layer in autocast's type; layer norms are
    computed in float32.

    Args:
        module: any module with such layers inside.
        compiled: whether to compile the layers, for a GPU. One graph serves all layers of a kind, so that compiling
            takes seconds; each new shape (T, S) of a pack costs one more graph.
    """
    use_packed_attention(module)
    for part in module.modules():
        if type(part).__name__ in NORMALISED and _rounded not in part._forward_hooks.values():
            part.register_forward_hook(_rounded)
    if compiled:
        from torch._inductor import config as inductor  # slow to import, and nothing else needs it

        _swap(module)
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        if hasattr(inductor.triton, "mix_order_reduction_split_size"):
            inductor.triton.mix_order_reduction_split_size = SPLIT
        for part in module.modules():
            if type(part).__name__ in ("BertLayer", "ElectraLayer", "BertEmbeddings", "ElectraEmbeddings"):
                part.compile(dynamic=False)


def embedded(body: Body, pack: Pack, input_ids: Tensor | None = None) -> Tensor:
    """Return the states (1, T, H) that the first layer reads.

    ``input_ids`` (1, T) are read instead of the pack's where they are given.
    """
    ids = pack.input_ids if input_ids is None else input_ids
    hidden: Tensor = body.embeddings(input_ids=ids, token_type_ids=pack.token_type_ids, position_ids=pack.position_ids)
    if isinstance(body, ElectraModel) and hasattr(body, "embeddings_project"):
        hidden = body.embeddings_project(hidden)
    return hidden.to(compute_dtype(hidden))


def through(layers: Iterable[Any], hidden: Tensor, pack: Pack) -> Tensor:
    """Send states (1, T, H) through transformers' own layers."""
    for layer in layers:
        output = layer(hidden, None, **pack.bounds)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def hidden_states(body: Body, pack: Pack, input_ids: Tensor | None = None) -> Tensor:
    """Return the last hidden states (1, T, H): those of padded rows, one text after the other."""
    return through(body.encoder.layer, embedded(body, pack, input_ids), pack)
