"""Exact search: all queries against all vectors on the device, the best 1,000 each."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed.measure import Machine, Made, Way
from simlm.errors import UserError
from simlm.retrieval.faiss_knn import check_faiss
from simlm.retrieval.search import PASSAGE_BLOCK, search_tiles

K = 1_000
EXACT = "products of float32, equal scores by index"
FULL = "products of float32, equal scores in any order"
HALF = "products of float16, equal scores in any order"


def search(machine: Machine) -> Iterator[Way]:
    """Yield searches of random unit vectors, float16 on a GPU, as many as MS MARCO's and fewer; others than ours once.

    On a CPU vectors are 128 wide, in float32.
    """
    queries, width = (6_980, 768) if machine.gpu else (500, 128)
    if machine.gpu:
        sizes = [1_000_000, *([] if machine.quick else [4_000_000]), 8_841_823]
    else:
        sizes = [27_413, *([] if machine.quick else [100_000, 400_000])]
    for size in sizes:
        asked = _vectors(machine, queries, width)
        stored = torch.cat([_vectors(machine, min(500_000, size - start), width) for start in range(0, size, 500_000)])
        ways = [("tiled", partial(as_stages, machine, asked, stored, False))]
        if size == sizes[0]:
            ways.append(("straightforward", partial(plain, machine, asked, stored)))
            if _has_faiss(machine):
                ways.append(("faiss", partial(as_stages, machine, asked, stored, True)))
        what, flop = f"{queries:,} queries x {size:,} x {width}, top {K:,}", 2.0 * queries * size * width
        for name, make in ways:
            yield Way("search", name, what, make, queries, flop, unit="queries")
        del asked, stored, ways, make  # before larger ones are made


def _vectors(machine: Machine, rows: int, width: int) -> Tensor:
    vectors = torch.nn.functional.normalize(torch.randn(rows, width, device=machine.device), dim=1)
    return vectors.half() if machine.gpu else vectors


def _has_faiss(machine: Machine) -> bool:
    try:
        check_faiss(machine.device)
    except UserError:
        return False
    return True


def as_stages(machine: Machine, asked: Tensor, stored: Tensor, faiss: bool) -> Made:
    """Prepare what stages do, but for reading vectors from disk."""
    queries = asked.float().cpu().numpy()

    def work() -> object:
        tiles = ((start, stored[start : start + PASSAGE_BLOCK]) for start in range(0, len(stored), PASSAGE_BLOCK))
        return search_tiles(queries, tiles, K, machine.device, faiss=faiss)

    return Made(work, EXACT)


def plain(machine: Machine, asked: Tensor, stored: Tensor) -> Made:
    """Prepare a product and torch's top-k for a block of queries."""
    rows = max(1, (1 << 31) // (4 * len(stored)))
    # Products of float16 are summed and kept in float32.
    product = partial(torch.mm, out_dtype=torch.float32) if machine.gpu else torch.mm
    how = HALF if machine.gpu else FULL
    return Made(lambda: [product(part, stored.t()).topk(K, dim=1).indices for part in asked.split(rows)], how)
