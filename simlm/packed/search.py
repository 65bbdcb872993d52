"""Exact search over vectors that are on the device already: tiled products, and the best kept as tiles go by."""

from collections.abc import Callable

import torch
from torch import Tensor

COLUMNS = 32
"""Scores that share one maximum: only the groups with the k best maxima can hold any of the k best scores."""


def products(queries: Tensor, passages: Tensor) -> Tensor:
    """Inner products float32 (Q, n) of (Q, d) and (n, d), accumulated in float32 whatever the vectors' type."""
    if queries.is_cuda and queries.dtype in (torch.float16, torch.bfloat16):
        return torch.mm(queries, passages.t(), out_dtype=torch.float32)
    return queries.float() @ passages.float().t()


def tile_best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The min(k, n) largest of each row (Q, n), values and columns, in no particular order."""
    rows, width = scores.shape
    if width <= 2 * k * COLUMNS or width % COLUMNS:
        best = scores.topk(min(k, width), dim=1, sorted=False)
        return best.values, best.indices
    grouped = scores.view(rows, -1, COLUMNS)  # (Q, n / COLUMNS, COLUMNS)
    groups = grouped.amax(dim=2).topk(k, dim=1, sorted=False).indices  # (Q, k)
    candidates = grouped.gather(1, groups[:, :, None].expand(-1, -1, COLUMNS)).flatten(1)  # (Q, k COLUMNS)
    best = candidates.topk(k, dim=1, sorted=False)
    columns = groups.gather(1, best.indices // COLUMNS) * COLUMNS + best.indices % COLUMNS
    return best.values, columns


def search_resident(
    queries: Tensor,
    tile_of: Callable[[int, int], Tensor],
    passages: int,
    k: int,
    tile: int = 1 << 20,
    rows: int = 1_024,
) -> tuple[Tensor, Tensor]:
    """The k passages with the largest inner product with each query (Q, d).

    ``tile_of(start, stop)`` gives the vectors (n, d) of a run of passages, on the queries' device. Returns scores
    float32 (Q, k), decreasing, and indices int64 (Q, k), equal scores by index; -inf and -1 where there are fewer
    passages. Among equal scores at the k-th place any can be returned: where that matters, use ``retrieval.search``.
    At most ``rows`` x ``tile`` scores are held.
    """
    scores = torch.full((len(queries), k), -torch.inf, device=queries.device)
    indices = torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device)
    for start in range(0, passages, tile):
        vectors = tile_of(start, min(start + tile, passages))
        for first in range(0, len(queries), rows):
            part = slice(first, first + rows)
            values, columns = tile_best(products(queries[part], vectors), k)
            merged = torch.cat([scores[part], values], dim=1)
            places = merged.topk(k, dim=1, sorted=False).indices
            scores[part] = merged.gather(1, places)
            indices[part] = torch.cat([indices[part], columns + start], dim=1).gather(1, places)
    by_index = indices.argsort(dim=1, stable=True)
    scores, indices = scores.gather(1, by_index), indices.gather(1, by_index)
    order = scores.argsort(dim=1, descending=True, stable=True)
    return scores.gather(1, order), indices.gather(1, order)
