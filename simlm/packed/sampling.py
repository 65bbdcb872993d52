"""Sampling from a softmax without computing it: Gumbel noise from a hash, added to the logits under one argmax.

A row's noise depends on its key and on nothing else, and the key is the uniform number that the collator draws by
(seed, epoch, passage): a draw stays the same however passages are packed.
"""

import math

import torch
from torch import Tensor, nn

from simlm.packed.dropout import mixed
from simlm.packed.vocabulary import aligned
from simlm.pretraining.generator import sample_tokens
from simlm.pretraining.vocabulary_loss import compute_dtype

ROWS = 2_048
"""Logits held at a time on a GPU."""
GOLDEN = 0x9E3779B9 - (1 << 32)
"""Odd, so that columns stay apart, which it spreads over all bits."""
LOG2_E = 1 / math.log(2)


def keys_of(uniforms: Tensor) -> Tensor:
    """Uniform numbers (M,) in float64, which have 53 random bits -> int32 (M,), by which rows draw."""
    scaled = uniforms.double() * 2.0**26
    high = scaled.floor()
    low = ((scaled - high) * 2.0**27).floor()
    return mixed(mixed(high.to(torch.int32)) ^ low.to(torch.int32))


def gumbel_argmax(logits: Tensor, keys: Tensor) -> Tensor:
    """One token a row from softmax(logits): (M, V), keys int32 (M,) -> (M,) int64."""
    columns = torch.arange(logits.shape[1], device=logits.device, dtype=torch.int32)
    noise = mixed(keys[:, None] ^ (columns * GOLDEN))
    # The smallest of exponential numbers wins, so the precise end of the floats has to be the small one.
    uniform = ((noise & 0x7FFFFFFF).float() + 0.5) * 2.0**-31
    small = uniform * (1 + uniform * (0.5 + uniform * (1 / 3))) * LOG2_E
    exponential = torch.where(uniform < 2.0**-8, small, -torch.log2(1 - uniform))
    return (logits.float() * LOG2_E - torch.log2(exponential)).argmax(dim=1)


_compiled_gumbel_argmax = torch.compile(gumbel_argmax, dynamic=False)


def sample_rows(rows: Tensor, output: nn.Linear, uniforms: Tensor, gumbel: bool) -> Tensor:
    """A token (M,) for each of ``rows`` (M, E) under the layer ``output`` (E -> V); ``uniforms`` (M,) in float64.

    gumbel: draw by noise, ``ROWS`` rows at a time, for a GPU; otherwise by inverting the cumulative distribution, as
    the padded path does and with its very tokens, which is the cheaper way on a CPU.
    """
    if not gumbel:
        return sample_tokens(output(rows), uniforms)
    matrix, bias = aligned(output.weight, output.bias, compute_dtype(rows))
    keys = keys_of(uniforms)
    draw = _compiled_gumbel_argmax if rows.is_cuda else gumbel_argmax
    drawn = [
        draw(torch.addmm(bias, rows[start : start + ROWS].to(matrix.dtype), matrix.t()), keys[start : start + ROWS])
        for start in range(0, len(rows), ROWS)
    ]
    return torch.cat(drawn) if drawn else torch.empty(0, dtype=torch.int64, device=rows.device)
