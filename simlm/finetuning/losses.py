"""The losses of fine-tuning (Section 3.2 of Wang et al., 2023), each a mean over queries.

All of them compute in float32 (float64 stays float64), also under autocast: scores divided by a temperature
of 0.02 leave bfloat16 too few digits.
"""

import torch
from torch import Tensor
from torch.nn import functional


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def contrastive_loss(queries: Tensor, passages: Tensor, temperature: float) -> Tensor:
    """Contrastive loss with four blocks in one softmax a query (Equation 3, as the released code has it).

    queries: (B, d), L2-normalised. passages: (B n, d), L2-normalised, group-major: the n passages of query 0,
    its positive first, then those of query 1, and so on. Returns the mean over queries, a scalar.

    With d_i+ the positive of query i, its candidates are
      1. every passage of the batch against q_i           B n terms, the label is d_i+
      2. every other query q_j against d_i+               B - 1 terms
      3. every other query q_j against q_i                B - 1 terms
      4. every other positive d_j+ against d_i+           B - 1 terms
    Duplicates and false negatives stay in. With several processes, gather both arguments first
    (`simlm.finetuning.gather`). Raises ValueError when the passages do not divide into B groups.
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


def listwise_loss(scores: Tensor) -> Tensor:
    """Cross-entropy of each query's passages, scores (B, n), against the positive at index 0 (Section 3.2)."""
    log_probabilities = functional.log_softmax(_full_precision(scores), dim=1)
    return -log_probabilities[:, 0].mean()


def r_drop_listwise_loss(scores_a: Tensor, scores_b: Tensor) -> Tensor:
    """R-Drop over two dropout passes of the re-ranker (Section 3.2; Liang et al., 2021).

    scores_a, scores_b: (B, n), the positive at index 0. The mean of the two listwise losses plus half of
    KL(a || b) + KL(b || a), each summed over passages; gradient flows through both passes.
    """
    log_a = functional.log_softmax(_full_precision(scores_a), dim=1)
    log_b = functional.log_softmax(_full_precision(scores_b), dim=1)
    listwise = -(log_a[:, 0] + log_b[:, 0]) / 2
    # KL(a || b) + KL(b || a) is the sum over passages of (a - b) (log a - log b).
    divergence = ((log_a.exp() - log_b.exp()) * (log_a - log_b)).sum(dim=1)
    return (listwise + 0.5 * divergence).mean()


def distillation_loss(student_scores: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) over each query's group (Section 3.2).

    student_scores: (B, n), similarities already divided by the temperature. teacher_logits: (B, n), the
    re-ranker's raw logits, as they are. Summed over passages, mean over queries.
    """
    student = functional.log_softmax(_full_precision(student_scores), dim=1)
    teacher = functional.log_softmax(_full_precision(teacher_logits), dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
