"""Exact search by inner product (Section 3.2), streamed over a corpus of any size.

A tiled matrix product and top-k in torch, on a CPU or a GPU, or faiss for each tile (`faiss_knn`). Measured on 27,413
vectors of 128 dimensions, 2 cores: torch is as fast as faiss' IndexFlatIP (2,000 queries to depth 1,000: 1.0 s of CPU
time both), which returns equal scores in no fixed order and cuts among them at the k-th place at random. Here ties go
to the smaller passage index everywhere, whichever finds them.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from simlm.distributed import processes, rank, summed
from simlm.errors import UserError
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.faiss_knn import faiss_nearest
from simlm.retrieval.runs import PADDING
from simlm.retrieval.topk import best_of, merge

QUERY_BLOCK, PASSAGE_BLOCK = 256, 32_768
ROOM = 0.8
"""Share of a GPU's free memory that vectors may take; the rest is for the model and a search's scores."""


def search(
    queries: np.ndarray,
    embeddings: Embeddings,
    k: int,
    device: torch.device | str = "cpu",
    query_block: int = QUERY_BLOCK,
    passage_block: int = PASSAGE_BLOCK,
    faiss: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k passages with the largest inner product with each query.

    Memory beyond the inputs: 12 Q k bytes for the results, 4 passage_block d for a block, and 4 passage_block + 40 k
    for each of ``query_block`` queries; faiss holds no more, and on a GPU 256 MiB of its own.

    Args:
        queries: float32 (Q, d).
        embeddings: the passages' vectors (n, d); read once, ``passage_block`` at a time.
        k: places of a ranking.
        device: where products are computed.
        query_block: queries scored against a block at a time.
        passage_block: passages of a block.
        faiss: whether faiss finds the best of each block, not torch: the same up to the rounding of float32.

    Returns:
        Scores float32 (Q, k), decreasing, and passage indices int64 (Q, k), equal scores by index: what a stable sort
        of all scores would give. Where k > n the last places hold -inf and -1.

    Raises:
        UserError: for vectors with NaN or infinity or of different dimensions, and where faiss cannot do it.
    """
    if queries.ndim != 2 or queries.shape[1] != embeddings.dim:
        raise UserError(
            f"queries of shape {queries.shape} do not fit the {embeddings.dim}-dimensional vectors of "
            f"{embeddings.folder}: encode both with the same model"
        )
    tiles = (
        (first, _finite(tile, f"a shard of {embeddings.folder}")) for first, tile in embeddings.tiles(passage_block)
    )
    return search_tiles(queries, tiles, k, device, query_block, faiss)


def search_tiles(
    queries: np.ndarray,
    tiles: Iterable[tuple[int, Tensor]],
    k: int,
    device: torch.device | str = "cpu",
    query_block: int = QUERY_BLOCK,
    faiss: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `search` returns, over tiles of vectors (m, d) that are known to be finite.

    Each tile comes with the index of its first passage, in the order of the passages; tiles may be on any device.
    """
    nearest = faiss_nearest(device, k) if faiss else _product_best
    on_device = _finite(queries, "the queries' vectors").to(device)
    scores = torch.full((len(queries), k), -torch.inf, device=device)
    indices = torch.full((len(queries), k), PADDING, dtype=torch.int64, device=device)
    with torch.inference_mode(), _full_precision():
        for first, tile in tiles:
            there = tile.to(device, torch.float32)
            for start in range(0, len(queries), query_block):
                rows = slice(start, start + query_block)
                best = nearest(on_device[rows], there, k)  # (q, at most k) each
                scores[rows], indices[rows] = merge((scores[rows], indices[rows]), (best[0], best[1] + first), k)
    return scores.cpu().numpy(), indices.cpu().numpy()


def search_together(
    queries: np.ndarray,
    embeddings: Embeddings,
    k: int,
    device: torch.device | str = "cpu",
    query_block: int = QUERY_BLOCK,
    faiss: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `search` returns, where several processes (`simlm.distributed`) take the blocks of queries in turn.

    Every process reads all passages, and holds all results at the end.
    """
    if processes() == 1:
        return search(queries, embeddings, k, device, query_block, faiss=faiss)
    own = np.flatnonzero(np.arange(len(queries)) // query_block % processes() == rank())
    whole = []
    for found in search(queries[own], embeddings, k, device, query_block, faiss=faiss):
        values = torch.from_numpy(found).to(device)
        total = torch.zeros((len(queries), k), dtype=values.dtype, device=device)
        total[torch.from_numpy(own).to(device)] = values
        whole.append(summed(total).cpu().numpy())
    return whole[0], whole[1]


def resident_index(
    embeddings: Embeddings, device: torch.device | str, block: int = PASSAGE_BLOCK
) -> list[tuple[int, Tensor]]:
    """Keep vectors open for queries that come one at a time, as in a service, and return the tiles for `search_tiles`.

    On a GPU with room for all of them the vectors are copied there, float32. Otherwise they are memory-mapped as they
    were encoded and take no memory of a process. They are not checked: a `search` has read them before.
    """
    tiles = [(first, _mapped(tile)) for first, tile in embeddings.tiles(block)]
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
        if 4 * len(embeddings) * embeddings.dim <= ROOM * torch.cuda.mem_get_info(device)[0]:
            return [(first, tile.to(device, torch.float32)) for first, tile in tiles]
    return tiles


def _mapped(vectors: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        # It is mapped to be read, and nobody writes into it.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(vectors)


def _product_best(queries: Tensor, tile: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return best_of(queries @ tile.T, k)


def _finite(vectors: np.ndarray, where: str) -> Tensor:
    tensor = torch.from_numpy(np.array(vectors, dtype=np.float32))
    if not torch.isfinite(tensor).all():
        raise UserError(f"NaN or infinity in {where}: check the model, delete the embeddings and encode again")
    return tensor


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep TF32 and bfloat16 out of float32 products, whatever a training has chosen."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
