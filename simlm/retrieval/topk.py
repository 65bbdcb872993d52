"""The best scores of rows, equal ones by index: what a stable sort of all scores would keep."""

import torch
from torch import Tensor


def best_of(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return scores and indices of the k best of every row (q, p), sorted by index.

    Among equal scores at the k-th place the smallest indices are kept.
    """
    if scores.shape[1] <= k:
        return scores, torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    # topk picks any of several equal scores. One place more than wanted shows in which rows that made a
    # difference; these rare rows are sorted in full.
    values, places = scores.topk(k + 1, dim=1)
    doubtful = (values[:, k] == values[:, k - 1]).nonzero().flatten()
    values, places = values[:, :k], places[:, :k]
    if len(doubtful):
        order = _stably_sorted(scores[doubtful])[:, :k]
        places[doubtful] = order
        values[doubtful] = scores[doubtful].gather(1, order)
    return by_index(values, places)


def by_index(values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Sort every row of ``places`` (q, k), and ``values`` with it."""
    places, order = places.sort(dim=1)
    return values.gather(1, order), places


def merge(earlier: tuple[Tensor, Tensor], later: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Return the k best of two sets of scores and indices (q, ...), sorted by score and then by index.

    All of the earlier set's indices are smaller and equal scores stand by index in each: a stable sort does it.
    """
    scores = torch.cat([earlier[0], later[0]], dim=1)
    indices = torch.cat([earlier[1], later[1]], dim=1)
    order = _stably_sorted(scores)[:, :k]
    return scores.gather(1, order), indices.gather(1, order)


def _stably_sorted(scores: Tensor) -> Tensor:
    # Adding 0 makes a -0.0 equal to 0.0 for the radix sort of a GPU too.
    return (scores + 0.0).sort(dim=1, descending=True, stable=True).indices
