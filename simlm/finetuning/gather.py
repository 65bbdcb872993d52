"""Embeddings of all processes in every process, for a contrastive loss over the global batch."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from simlm.distributed import processes, rank


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        ctx.rows = local.shape[0]
        parts = [torch.empty_like(local) for _ in range(processes())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        start = rank() * ctx.rows
        return gradients[0][start : start + ctx.rows]


def gather_embeddings(local: Tensor) -> Tensor:
    """(B, d) of this process -> (processes x B, d) of all, in the order of ranks.

    B has to be the same everywhere. The gradient is the local one: every process computes the loss L of the
    whole global batch, and its backward pass keeps only dL / d(own rows), without further communication.
    A data-parallel wrapper then averages over the W processes and arrives at 1/W of the gradient that one
    process with the whole batch would get; `global_batch_loss` makes up for it.
    """
    if processes() == 1:
        return local
    apply: Callable[[Tensor], Tensor] = _Gather.apply
    return apply(local)


def global_batch_loss(loss: Tensor, scale_loss: bool) -> Tensor:
    """A loss over gathered embeddings, ready for data-parallel averaging of gradients; its value stays.

    With scale_loss (the MS MARCO set-up) its gradient is multiplied by the number of processes, so that averaged
    gradients equal those of one process with the whole batch. Without it (the released NQ scripts: scale 1)
    they are smaller by that factor, which Adam's normalisation and a clipped norm hide for the most part.
    """
    if not scale_loss or processes() == 1:
        return loss
    return loss + (processes() - 1) * (loss - loss.detach())
