"""Exact search of a multi-vector index by MaxSim (`baselines.late`).

A query's score for a passage is the sum, over the query's vectors, of the largest inner product with one of the
passage's. All passages are scored: what candidates an approximate search would have found has no part in the figures.
"""

import numpy as np
import torch
from torch import Tensor

from baselines.late import TokenIndex, check_finite
from simlm.distributed import processes, rank, summed
from simlm.progress import Bar

BLOCK = 8_192
"""Passages among which the best are looked for in one go."""
PRODUCTS = 1 << 26
"""Inner products held at once, 4 bytes each."""


def search_tokens(
    queries: list[np.ndarray], index: TokenIndex, k: int, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """The k passages with the largest MaxSim with each query, equal scores by passage index.

    ``queries`` are float32 (tokens, d) each. Returns scores float32 (Q, k), decreasing, and indices int64 (Q, k), with
    k no more than the passages. Several processes (`simlm.distributed`) that call this together take the blocks of
    passages in turn, and all have the results of one process. Memory holds a block's vectors and scores, a bounded
    number of inner products and, some 40 bytes each, every process's results.

    UserError for queries that are not all numbers.
    """
    check_finite(queries)
    asked, real = _padded(queries)
    asked, real = asked.to(device), real.to(device)
    passages = len(index)
    scores = torch.empty((len(queries), 0), device=device)
    indices = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    with torch.inference_mode(), Bar(total=passages, unit=" passages", desc="MaxSim", disable=None) as bar:
        for start in range(rank() * BLOCK, passages, processes() * BLOCK):
            stop = min(start + BLOCK, passages)
            found = _block_scores(asked, real, index, start, stop, device)
            places = torch.arange(start, stop, device=device).expand_as(found)
            # Earlier passages stand first and have smaller indices: a stable sort settles ties by index.
            scores, order = torch.cat([scores, found], dim=1).sort(dim=1, descending=True, stable=True)
            indices = torch.cat([indices, places], dim=1).gather(1, order)[:, :k]
            scores = scores[:, :k]
            # About as many as all have scored by now.
            bar.update(min((stop - start) * processes(), passages - bar.done))
        if processes() > 1:
            scores, indices = _best_of_all(scores, indices, k, passages)
    return scores.cpu().numpy(), indices.cpu().numpy()


def _best_of_all(scores: Tensor, indices: Tensor, k: int, passages: int) -> tuple[Tensor, Tensor]:
    """The k best of what each process has found, (Q, at most k) each, equal scores by index; in all of them alike."""
    every_score = scores.new_zeros((processes(), len(scores), k))
    every_index = indices.new_zeros((processes(), len(scores), k))
    every_score[rank()], every_index[rank()] = -torch.inf, passages
    every_score[rank(), :, : scores.shape[1]], every_index[rank(), :, : scores.shape[1]] = scores, indices
    found = summed(every_score).transpose(0, 1).flatten(1)  # (Q, processes k)
    places, order = summed(every_index).transpose(0, 1).flatten(1).sort(dim=1)
    best, order = found.gather(1, order).sort(dim=1, descending=True, stable=True)
    return best[:, :k], places.gather(1, order)[:, :k]


def _block_scores(
    asked: Tensor, real: Tensor, index: TokenIndex, start: int, stop: int, device: torch.device | str
) -> Tensor:
    """(Q, stop - start)"""
    found = torch.empty((len(asked), stop - start), device=device)
    step = 256
    for first in range(start, stop, step):
        vectors, own = (tensor.to(device) for tensor in index.block(first, min(first + step, stop)))
        flat = vectors.flatten(0, 1).T  # (d, p L)
        size = max(1, PRODUCTS // (asked.shape[1] * flat.shape[1]))
        for row in range(0, len(asked), size):
            products = (asked[row : row + size] @ flat).unflatten(2, own.shape)  # (q, i, p, L)
            best = products.masked_fill(~own, -torch.inf).amax(3)  # (q, i, p)
            kept = real[row : row + size, :, None]
            found[row : row + size, first - start : first - start + len(own)] = best.where(kept, 0.0).sum(1)
    return found


def _padded(queries: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Vectors (Q, I, d) of queries of different lengths, and which of them are real (Q, I)."""
    longest = max(map(len, queries))
    vectors = torch.zeros((len(queries), longest, queries[0].shape[1]))
    real = torch.zeros((len(queries), longest), dtype=torch.bool)
    for row, query in enumerate(queries):
        vectors[row, : len(query)] = torch.from_numpy(query)
        real[row, : len(query)] = True
    return vectors, real
