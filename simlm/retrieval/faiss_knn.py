"""faiss instead of torch's product and top-k for the best passages of a tile: ``--search faiss``."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from simlm.errors import UserError
from simlm.retrieval.topk import best_of, by_index

Nearest = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
MOST_ON_GPU = 2047
"""faiss finds 2,048 places at most on a GPU, and one more than is wanted shows where scores are equal."""
TEMPORARY = 256 << 20
"""Bytes of a GPU's memory that faiss keeps for its intermediate results."""


def check_faiss(device: torch.device | str) -> None:
    """Raise UserError where faiss is not installed, or cannot compute on that device."""
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"--search faiss: faiss cannot be imported ({error}): pip install -c constraints.txt -e '.[cpu]' "
            "(or '.[gpu]'), or leave the option out"
        ) from None
    if torch.device(device).type == "cuda" and faiss.get_num_gpus() < 1:
        raise UserError(
            "--search faiss: the faiss that is installed cannot compute on a GPU here: pip uninstall faiss-cpu, then "
            "pip install -c constraints.txt -e '.[gpu]', or leave the option out"
        )


def faiss_nearest(device: torch.device | str, k: int) -> Nearest:
    """Return a function that finds the at most k best of a tile on that device; UserError where faiss cannot."""
    check_faiss(device)
    if torch.device(device).type != "cuda":
        return lambda queries, tile, k: _settled(_knn, queries, tile, k)
    if k > MOST_ON_GPU:
        raise UserError(
            f"--search faiss: {k:,} passages a query, and on a GPU faiss finds {MOST_ON_GPU:,} at most; "
            "choose --search torch"
        )
    return lambda queries, tile, k: _settled(_knn_gpu, queries, tile, k)


def _settled(find: Nearest, queries: Tensor, tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the at most k best (q, k) of a tile (p, d), by place; among equal scores at the k-th the smallest places."""
    if len(tile) <= k:
        return best_of(queries @ tile.T, k)
    values, places = find(queries, tile, k + 1)
    # faiss keeps any of several equal scores, and gives -1 where a score is no number that it compares.
    doubtful = ((values[:, k] == values[:, k - 1]) | (places < 0).any(dim=1)).nonzero().flatten()
    values, places = by_index(values[:, :k], places[:, :k])
    if len(doubtful):
        values[doubtful], places[doubtful] = best_of(queries[doubtful] @ tile.T, k)
    return values, places


def _knn(queries: Tensor, tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    found = faiss.knn(queries.numpy(), tile.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def _knn_gpu(queries: Tensor, tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    import faiss
    import faiss.contrib.torch_utils  # makes knn_gpu take tensors where they are, on torch's stream

    with torch.cuda.device(queries.device):
        number = queries.device.index
        metric = faiss.METRIC_INNER_PRODUCT
        found: tuple[Tensor, Tensor] = faiss.knn_gpu(_resources(number), queries, tile, k, metric=metric, device=number)
    return found


@cache
def _resources(number: int) -> Any:
    """Return faiss' temporary memory for one GPU; make it once a process."""
    import faiss

    resources = faiss.StandardGpuResources()
    resources.setTempMemory(TEMPORARY)
    return resources
