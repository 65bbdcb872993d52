"""Cross-entropy over the vocabulary without ever holding all logits.

With 30,522 words the logits of a batch of 2,048 x 144 positions are 18 GB in bfloat16. Here the positions that count
go through the output matrix in chunks, and each chunk's gradient is taken while its logits are still at hand.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = 512


def compute_dtype(states: Tensor) -> torch.dtype:
    """What products are taken in: autocast's type where it is on."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def scaled_gradients(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
    """What a loss of six inputs gives back that took its gradients (hidden, weight, bias) in its forward pass."""
    hidden, weight, bias = ctx.saved_tensors
    weight_dtype, bias_dtype = ctx.dtypes
    return hidden * scale, (weight * scale).to(weight_dtype), (bias * scale).to(bias_dtype), None, None, None


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, chunk: int, with_gradient: bool
    ) -> Tensor:
        compute = compute_dtype(hidden)
        matrix = weight.to(compute)
        exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        total = torch.zeros((), dtype=exact, device=hidden.device)
        hidden_gradient = torch.empty_like(hidden) if with_gradient else None
        weight_gradient = torch.zeros_like(weight, dtype=exact) if with_gradient else None
        bias_gradient = torch.zeros_like(bias, dtype=exact) if with_gradient else None
        for start in range(0, len(hidden), chunk):
            rows = hidden[start : start + chunk].to(compute)  # (c, H)
            labels = targets[start : start + chunk, None]  # (c, 1)
            logits = torch.addmm(bias.to(compute), rows, matrix.t()).to(exact)  # (c, V)
            logits.sub_(logits.amax(dim=1, keepdim=True))
            chosen = logits.gather(1, labels)
            logits.exp_()
            norm = logits.sum(dim=1, keepdim=True)
            total += (norm.log() - chosen).sum()
            if hidden_gradient is None or weight_gradient is None or bias_gradient is None:
                continue
            logits.div_(norm)
            logits.scatter_add_(1, labels, torch.full_like(chosen, -1.0))
            gradient = logits.to(compute)
            hidden_gradient[start : start + chunk] = gradient @ matrix
            weight_gradient += gradient.t() @ rows
            bias_gradient += logits.sum(dim=0)
        if with_gradient:
            ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
            ctx.dtypes = (weight.dtype, bias.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        return scaled_gradients(ctx, *outputs)


def vocabulary_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, chunk: int = CHUNK) -> Tensor:
    """Sum of -log softmax(hidden weight^T + bias)[target] over the given positions.

    ``hidden`` (N, H), ``weight`` (V, H), ``bias`` (V,), ``targets`` (N,) of int64; a scalar in float32 (float64 for
    float64 inputs). At most ``chunk`` x V logits are held. First-order gradients only.
    """
    # Inside a Function nobody can tell whether the caller wants a gradient: under no_grad it would be taken in vain.
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (hidden, weight, bias))
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, chunk, with_gradient)
    return loss


def mean_vocabulary_loss(hidden: Tensor, output: nn.Linear, targets: Tensor) -> Tensor:
    """``vocabulary_loss`` of ``hidden`` (N, H) under the layer ``output`` (H -> V), a mean over N; 0 when N is 0."""
    return vocabulary_loss(hidden, output.weight, output.bias, targets) / max(1, len(targets))
