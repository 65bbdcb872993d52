"""Weighted cross-entropy over the vocabulary in large chunks, whose softmax and gradient are one compiled kernel.

As ``simlm.pretraining.vocabulary_loss``, which stays the padded path's, but with a weight a position: a mean over
groups of passages is then a sum over packs, whichever pack a passage went to.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from simlm.pretraining.vocabulary_loss import compute_dtype, scaled_gradients

CHUNK = 16_384
"""Positions whose logits are held at a time: 1 GB in bfloat16 for 30,522 words."""
ALIGNMENT = 64


def aligned(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """An output layer's (V, H) and (V,) in ``dtype``; in half precision V is rounded up, with words of probability 0.

    Rows of 30,522 half-precision numbers do not begin at multiples of 16 bytes, which the fast products need.
    """
    missing = -len(weight) % ALIGNMENT if dtype in (torch.float16, torch.bfloat16) else 0
    matrix, offset = weight.detach().to(dtype), bias.detach().to(dtype)
    if missing:
        matrix, offset = (
            functional.pad(matrix, (0, 0, 0, missing)),
            functional.pad(offset, (0, missing), value=-torch.inf),
        )
    return matrix, offset


def _softmax_part(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of -log softmax(logits)[target], and its gradient by the logits: (c, V), (c,), (c,)."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_norm = torch.logsumexp(exact, dim=1)
    chosen = exact.gather(1, targets[:, None]).squeeze(1)
    loss = ((log_norm - chosen) * weights).sum()
    hit = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
    gradient = ((exact - log_norm[:, None]).exp() - hit.to(exact.dtype)) * weights[:, None]
    return loss, gradient.to(logits.dtype)


_compiled_softmax_part = torch.compile(_softmax_part, dynamic=False)


class _WeightedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, with_gradient: bool
    ) -> Tensor:
        matrix, offset = aligned(weight, bias, compute_dtype(hidden))
        exact = torch.promote_types(hidden.dtype, torch.float32)
        part = _compiled_softmax_part if hidden.is_cuda else _softmax_part
        total = torch.zeros((), dtype=exact, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight, dtype=exact)
        bias_gradient = torch.zeros_like(bias, dtype=exact)
        for start in range(0, len(hidden), CHUNK):
            rows = hidden[start : start + CHUNK].to(matrix.dtype)  # (c, H)
            logits = torch.addmm(offset, rows, matrix.t())  # (c, V)
            loss, gradient = part(logits, targets[start : start + CHUNK], weights[start : start + CHUNK])
            total += loss
            if with_gradient:
                hidden_gradient[start : start + CHUNK] = gradient @ matrix
                weight_gradient += (gradient.t() @ rows)[: len(weight)]
                bias_gradient += gradient.sum(dim=0, dtype=exact)[: len(bias)]
        if with_gradient:
            ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
            ctx.dtypes = (weight.dtype, bias.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        return scaled_gradients(ctx, *outputs)


def weighted_vocabulary_loss(hidden: Tensor, output: nn.Linear, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum of weights x -log softmax(output(hidden))[targets]; (N, H), H -> V, int64 (N,), float32 (N,) -> scalar.

    Float32, or float64 for float64 states. First-order gradients only, none for the weights.
    """
    tensors = (hidden, output.weight, output.bias)
    # Inside a Function nobody can tell whether the caller wants a gradient: under no_grad it would be taken in vain.
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    loss: Tensor = _WeightedCrossEntropy.apply(*tensors, targets, weights, with_gradient)
    return loss
