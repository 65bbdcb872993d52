"""Attention within the boundaries of packed sequences, for transformers' own BERT and ELECTRA layers.

Registered once as ``NAME`` with transformers' AttentionInterface. A layer whose configuration names it, and that is
called with ``cu_seq_lens`` and ``max_length``, attends inside each sequence; called without them it is attention over
padded rows: torch's own, or products written out where these are faster. Model classes stay as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "simlm_packed"


def use_packed_attention(module: nn.Module) -> None:
    """Make every BERT or ELECTRA layer inside ``module`` attend by boundaries when it is given them.

    Copied layers, as those of the bottleneck's decoder, have configurations of their own: all are changed.
    """
    for part in module.modules():
        config: Any = getattr(part, "config", None)
        if config is not None:
            config._attn_implementation = NAME


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bounds: Tensor,
    key_bounds: Tensor,
    max_query: int,
    max_key: int,
    dropout: float,
    scale: float | None,
) -> Tensor:
    """Compute softmax attention of each sequence's queries over its own keys.

    In half precision on CUDA it uses kernels for short sequences, or flash attention; elsewhere sequences are padded
    for SDPA and taken out again.

    Args:
        query: (Q, heads, d).
        key, value: (K, heads, d).
        query_bounds, key_bounds: int32 (S + 1,), from 0 to Q and to K; a sequence may be empty.
        max_query, max_key: no sequence has more queries or keys.
        dropout: probability with which a weight is dropped.
        scale: what products are multiplied by; None for 1 / sqrt(d).

    Returns:
        (Q, heads, d); queries without a key get 0.
    """
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        from simlm.packed.short_attention import HEADS, LONGEST, short_attention  # which needs Triton

        output: Tensor
        arguments = (query, key, value, query_bounds, key_bounds, max_query, max_key, dropout)
        if query.shape[2] in HEADS and max(max_query, max_key) <= LONGEST:
            output = short_attention(*arguments, query.shape[2] ** -0.5 if scale is None else scale)[0]
        else:
            # torch.nn.attention.varlen is this operator without its dropout, which pre-training needs.
            output = torch.ops.aten._flash_attention_forward(*arguments, False, False, scale=scale)[0]
        return output
    real_queries, real_keys = _places(query_bounds, max_query), _places(key_bounds, max_key)
    # A softmax over nothing is not a number; over zeros it is zero.
    visible = real_keys | ~real_keys.any(dim=1, keepdim=True)
    attended = functional.scaled_dot_product_attention(
        _padded(query, real_queries),
        _padded(key, real_keys),
        _padded(value, real_keys),
        attn_mask=visible[:, None, None, :],
        dropout_p=dropout,
        scale=scale,
    )
    return attended.transpose(1, 2)[real_queries]


def _places(bounds: Tensor, longest: int) -> Tensor:
    """Tell where sequences have tokens: bool (S, longest)."""
    return torch.arange(longest, device=bounds.device) < bounds.diff()[:, None]


def _padded(packed: Tensor, places: Tensor) -> Tensor:
    """Pad (T, heads, d) to (S, heads, longest, d): row-major places are in the order of the pack."""
    table = packed.new_zeros(*places.shape, *packed.shape[1:])
    table[places] = packed
    return table.transpose(1, 2)


def _written_out(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, dropout: float, scale: float | None
) -> Tensor:
    """Attend over padded rows, (B, heads, L, d) each -> (B, L, heads, d), with the softmax in float32.

    In bfloat16 on a CPU the backward pass of torch's own attention takes three times as long for 96 tokens.
    """
    scores = (query @ key.transpose(2, 3)).float() * (query.shape[3] ** -0.5 if scale is None else scale)
    if visible is not None and visible.dtype != torch.bool:  # an objective's own mask, which is added
        scores = scores + visible
    elif visible is not None:
        scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    weights = functional.dropout(scores.softmax(dim=3).to(query.dtype), dropout, training=dropout > 0)
    return (weights @ value).transpose(1, 2).contiguous()


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens: Tensor | None = None,
    max_length: int = 0,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attend as AttentionInterface asks: (1, heads, T, d) each -> (1, T, heads, d)."""
    if cu_seq_lens is None and query.dtype == torch.bfloat16 and not query.is_cuda and torch.is_grad_enabled():
        return _written_out(query, key, value, attention_mask, dropout, scaling), None
    if cu_seq_lens is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
        return output, None
    query, key, value = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))
    output = attend(query, key, value, cu_seq_lens, cu_seq_lens, max_length, max_length, dropout=dropout, scale=scaling)
    return output.unsqueeze(0), None


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
