"""Cross-entropy over the vocabulary without ever holding all logits, and the MLM head that it is computed from.

With 30,522 words the logits of a batch of 2,048 x 144 positions are 18 GB in bfloat16. Here the positions that count go
through the output matrix in chunks, and the gradient of each chunk is computed while its logits are in memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import BertForMaskedLM, ElectraForMaskedLM

from simlm.packed.forwards import compute_dtype

CHUNK = 512
"""Positions whose logits are held at a time."""
PACKED_CHUNK = 16_384
"""The same for packs: 1 GB in bfloat16 for 30,522 words."""
ALIGNMENT = 64


def word_rows(model: BertForMaskedLM | ElectraForMaskedLM, states: Tensor) -> tuple[Tensor, nn.Linear]:
    """Return what the MLM head's output layer reads of ``states`` (N, H), (N, E), and that layer (E -> V)."""
    if isinstance(model, BertForMaskedLM):
        head = model.cls.predictions
        return head.transform(states), head.decoder
    return model.generator_predictions(states), model.generator_lm_head


def head_loss(encoder: BertForMaskedLM, states: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the head's predictions from ``states`` (N, H) against ``targets`` (N,).

    It is 0 when N is 0.
    """
    return mean_vocabulary_loss(*word_rows(encoder, states), targets)


def mean_vocabulary_loss(hidden: Tensor, output: nn.Linear, targets: Tensor) -> Tensor:
    """Return the mean of `vocabulary_loss` over N positions; 0 when N is 0."""
    return vocabulary_loss(hidden, output, targets) / max(1, len(targets))


def vocabulary_loss(hidden: Tensor, output: nn.Linear, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the sum over positions of weight x -log softmax(output(hidden))[target].

    Args:
        hidden: (N, H), what the output layer reads.
        output: the output layer (H -> V).
        targets: int64 (N,).
        weights: float32 (N,), by which packs share a mean over groups of passages, and which get no gradient; None for
            1 everywhere. With weights N is expected to be one of few numbers, and the softmax is compiled on a GPU.

    Returns:
        A scalar in float32, or in float64 for float64 inputs; first-order gradients only.
    """
    tensors = (hidden, output.weight, output.bias)
    # Inside a Function nobody can tell whether the caller wants a gradient: under no_grad it would be taken in vain.
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    loss: Tensor = _ChunkedCrossEntropy.apply(*tensors, targets, weights, with_gradient)
    return loss


def aligned(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return an output layer's weight (V, H) and bias (V,) in ``dtype``.

    In half precision, pad V with words of probability 0 to a multiple that fast matrix products need.
    """
    missing = -len(weight) % ALIGNMENT if dtype in (torch.float16, torch.bfloat16) else 0
    matrix, offset = weight.detach().to(dtype), bias.detach().to(dtype)
    if missing:
        matrix = functional.pad(matrix, (0, 0, 0, missing))
        offset = functional.pad(offset, (0, missing), value=-torch.inf)
    return matrix, offset


def _plain_softmax(logits: Tensor, targets: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Return the sum of -log softmax(logits)[target], and its gradient by the logits if wanted: (c, V), (c,).

    ``logits`` are overwritten: on a CPU memory that is touched first costs more than what is computed in it.
    """
    labels = targets[:, None]
    logits.sub_(logits.amax(dim=1, keepdim=True))
    chosen = logits.gather(1, labels)
    logits.exp_()
    norm = logits.sum(dim=1, keepdim=True)
    loss = (norm.log() - chosen).sum()
    if not with_gradient:
        return loss, None
    logits.div_(norm)
    return loss, logits.scatter_add_(1, labels, torch.full_like(chosen, -1.0))


def _weighted_softmax(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of -log softmax(logits)[target], and its gradient by the logits: (c, V), (c,), (c,)."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_norm = torch.logsumexp(exact, dim=1)
    chosen = exact.gather(1, targets[:, None]).squeeze(1)
    loss = ((log_norm - chosen) * weights).sum()
    hit = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
    gradient = ((exact - log_norm[:, None]).exp() - hit.to(exact.dtype)) * weights[:, None]
    return loss, gradient.to(logits.dtype)


_compiled_weighted_softmax = torch.compile(_weighted_softmax, dynamic=False)


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        with_gradient: bool,
    ) -> Tensor:
        matrix, offset = aligned(weight, bias, compute_dtype(hidden))
        exact = torch.promote_types(hidden.dtype, torch.float32)
        weighted = _compiled_weighted_softmax if hidden.is_cuda else _weighted_softmax
        total = torch.zeros((), dtype=exact, device=hidden.device)
        if with_gradient:
            hidden_gradient = torch.empty_like(hidden)
            weight_gradient, bias_gradient = (torch.zeros_like(one, dtype=exact) for one in (weight, bias))
        size = CHUNK if weights is None else PACKED_CHUNK
        for start in range(0, len(hidden), size):
            chunk = slice(start, start + size)
            rows = hidden[chunk].to(matrix.dtype)  # (c, H)
            logits = torch.addmm(offset, rows, matrix.t())  # (c, V)
            gradient: Tensor | None
            if weights is None:
                loss, gradient = _plain_softmax(logits.to(exact), targets[chunk], with_gradient)
            else:
                loss, gradient = weighted(logits, targets[chunk], weights[chunk])
            total += loss
            if with_gradient and gradient is not None:
                bias_gradient += gradient.sum(dim=0, dtype=exact)[: len(bias)]
                gradient = gradient.to(matrix.dtype)
                hidden_gradient[chunk] = gradient @ matrix
                weight_gradient += (gradient.t() @ rows)[: len(weight)]
        if with_gradient:
            ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
            ctx.dtypes = (weight.dtype, bias.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = outputs
        hidden, weight, bias = ctx.saved_tensors
        weight_dtype, bias_dtype = ctx.dtypes
        return hidden * scale, (weight * scale).to(weight_dtype), (bias * scale).to(bias_dtype), None, None, None
