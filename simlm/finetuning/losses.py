"""The losses of fine-tuning (Section 3.2), each a mean over queries, and the ranks that choose a checkpoint.

Losses compute in float32 (float64 stays float64), also under autocast: scores divided by a temperature of 0.02 leave
bfloat16 too few digits.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from simlm.distributed import processes, rank


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def contrastive_loss(queries: Tensor, passages: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss with four blocks in one softmax a query (Equation 3, as the released code has it).

    With d_i+ the positive of query i, its candidates are
      1. every passage of the batch against q_i           B n terms, the label is d_i+
      2. every other query q_j against d_i+               B - 1 terms
      3. every other query q_j against q_i                B - 1 terms
      4. every other positive d_j+ against d_i+           B - 1 terms
    Duplicates and false negatives stay in. With several processes, gather both arguments first (`gather_embeddings`).

    Args:
        queries: (B, d), L2-normalised.
        passages: (B n, d), L2-normalised, group-major: the n passages of query 0, its positive first, then those of
            query 1, and so on.
        temperature: what similarities are divided by.

    Returns:
        The mean over queries, a scalar.

    Raises:
        ValueError: if the passages do not divide into B groups.
    """
    batch = queries.shape[0]
    if passages.shape[0] % batch:
        raise ValueError(f"{passages.shape[0]} passages do not divide into {batch} groups")
    group = passages.shape[0] // batch
    with torch.autocast(queries.device.type, enabled=False):
        queries, passages = _full_precision(queries), _full_precision(passages)
        positives = passages[::group]  # (B, d)
        scores = queries @ passages.T  # (B, B n)
        blocks = [scores[:, ::group].T, queries @ queries.T, positives @ positives.T]
        others = torch.cat(blocks, dim=1)  # (B, 3 B)
        own = torch.eye(batch, dtype=torch.bool, device=queries.device).repeat(1, 3)
        logits = torch.cat([scores, others.masked_fill(own, float("-inf"))], dim=1) / temperature
        return functional.cross_entropy(logits, torch.arange(0, batch * group, group, device=logits.device))


def r_drop_listwise_loss(scores_a: Tensor, scores_b: Tensor) -> Tensor:
    """Return the listwise loss of the re-ranker with R-Drop (Liang et al., 2021), over two dropout passes.

    The listwise loss is the cross-entropy of a query's passages against its positive. Its mean over the two passes is
    added to half of KL(a || b) + KL(b || a), each summed over passages; gradient flows through both passes.
    ``scores_a`` and ``scores_b`` are (B, n), the positive in column 0.
    """
    log_a = functional.log_softmax(_full_precision(scores_a), dim=1)
    log_b = functional.log_softmax(_full_precision(scores_b), dim=1)
    listwise = -(log_a[:, 0] + log_b[:, 0]) / 2
    # KL(a || b) + KL(b || a) is the sum over passages of (a - b) (log a - log b).
    divergence = ((log_a.exp() - log_b.exp()) * (log_a - log_b)).sum(dim=1)
    return (listwise + 0.5 * divergence).mean()


def distillation_loss(student_scores: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return KL(softmax(teacher) || softmax(student)) over each query's group, the mean over queries.

    Args:
        student_scores: (B, n), similarities that are already divided by the temperature.
        teacher_logits: (B, n), the re-ranker's raw logits as they are.
    """
    student = functional.log_softmax(_full_precision(student_scores), dim=1)
    teacher = functional.log_softmax(_full_precision(teacher_logits), dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


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
    """Return the embeddings (processes x B, d) of all processes, in the order of ranks, from each one's own (B, d).

    B has to be the same everywhere. The gradient is the local one: every process computes the loss L of the whole
    global batch, and its backward pass keeps only dL / d(own rows), without further communication. Averaging the
    gradients of W processes would then give 1/W of the gradient that one process with the whole batch gets;
    `global_batch_loss` makes up for it.
    """
    if processes() == 1:
        return local
    apply: Callable[[Tensor], Tensor] = _Gather.apply
    return apply(local)


def global_batch_loss(loss: Tensor, scale_loss: bool) -> Tensor:
    """Prepare a loss over gathered embeddings for averaging gradients over processes; its value stays.

    With ``scale_loss`` (MS MARCO) its gradient is multiplied by the number of processes, so that averaged gradients
    equal those of one process with the whole batch. Without it (the released scripts for NQ: scale 1) they are smaller
    by that factor, which Adam's normalisation and a clipped norm hide for the most part.
    """
    if not scale_loss or processes() == 1:
        return loss
    return loss + (processes() - 1) * (loss - loss.detach())


@torch.no_grad()
def reciprocal_ranks(queries: Tensor, passages: Tensor, group: int, first: int = 0) -> Tensor:
    """Return 1 / rank of each query's positive among all passages of an evaluation batch, without cut-off.

    The mean over a batch is the MRR that chooses the distilled retriever's checkpoint. Equal scores rank by row, so a
    constant encoder gains nothing.

    Args:
        queries: (B, d).
        passages: (M, d); the groups of the given queries start at row ``first``, each with its positive at its head.
        group: passages of a group.
        first: see ``passages``.

    Returns:
        float32 (B).
    """
    with torch.autocast(queries.device.type, enabled=False):
        scores = queries.float() @ passages.float().T  # (B, M)
    columns = first + group * torch.arange(len(queries), device=queries.device)
    own = scores.gather(1, columns[:, None])
    rows = torch.arange(len(passages), device=queries.device)
    ahead = (scores > own) | ((scores == own) & (rows < columns[:, None]))
    return 1.0 / (1 + ahead.sum(dim=1)).float()


@torch.no_grad()
def group_reciprocal_ranks(scores: Tensor) -> Tensor:
    """Return 1 / rank of each query's positive, column 0 of (B, n), in its group; it ranks behind equal scores."""
    return 1.0 / (scores >= scores[:, :1]).sum(dim=1).float()


@torch.no_grad()
def top_1_accuracy(scores: Tensor) -> Tensor:
    """Return the share of queries whose positive, column 0 of (B, n), scores above all others; a tie is no hit."""
    return (scores[:, 0] > scores[:, 1:].amax(dim=1)).float().mean()
