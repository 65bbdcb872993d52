"""How high positives rank within a batch: what chooses a checkpoint during fine-tuning."""

import torch
from torch import Tensor


@torch.no_grad()
def reciprocal_ranks(queries: Tensor, passages: Tensor, group: int, first: int = 0) -> Tensor:
    """1 / rank of each query's positive among all passages of an evaluation batch, without cut-off.

    queries: (B, d). passages: (M, d); the groups of `group` passages that belong to the given queries start
    at row `first`, each with its positive at its head. The mean over a batch is the MRR that chooses the
    distilled retriever's checkpoint. Equal scores rank by row, so a constant encoder gains nothing. Returns
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
def top_1_accuracy(scores: Tensor) -> Tensor:
    """Share of queries whose positive, column 0 of (B, n), scores above all others; a tie is no hit."""
    return (scores[:, 0] > scores[:, 1:].amax(dim=1)).float().mean()
