"""Exact search: all queries against all vectors on the device, the best 1,000 each."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.speed.machine import Machine
from benchmarks.speed.measure import Result, measured
from simlm.errors import UserError
from simlm.retrieval.faiss_knn import check_faiss
from simlm.retrieval.search import PASSAGE_BLOCK, search_tiles

WIDTH, K = 768, 1_000
Work = Callable[[], object]


def search(machine: Machine) -> list[Result]:
    """Random unit vectors in float16 on a GPU, 128 wide in float32 on a CPU; as many as MS MARCO's, and fewer."""
    queries, width = (6_980, WIDTH) if machine.gpu else (500, 128)
    if machine.gpu:
        sizes = [1_000_000, *([] if machine.quick else [4_000_000]), 8_841_823]
    else:
        sizes = [27_413, *([] if machine.quick else [100_000, 400_000])]
    results = []
    for size in sizes:
        asked = _vectors(machine, queries, width)
        stored = torch.cat([_vectors(machine, min(500_000, size - start), width) for start in range(0, size, 500_000)])
        flop = 2.0 * queries * size * width
        what = f"{queries:,} queries x {size:,} x {width}, top {K:,}"
        for way, how, work in _ways(machine, asked, stored, smallest=size == sizes[0]):
            results.append(measured(machine, "search", way, f"{what}; {how}", work, queries, flop, unit="queries"))
        del asked, stored, work
    return results


def _vectors(machine: Machine, rows: int, width: int) -> Tensor:
    vectors = torch.nn.functional.normalize(torch.randn(rows, width, device=machine.device), dim=1)
    return vectors.half() if machine.gpu else vectors


def _ways(machine: Machine, asked: Tensor, stored: Tensor, smallest: bool) -> list[tuple[str, str, Work]]:
    """Return ours at every size, and the others at the smallest."""
    full = "products of float32, equal scores by index"
    ways = [("tiled", full, as_stages(machine, asked, stored))]
    if smallest:
        kind = "float16" if machine.gpu else "float32"
        ways.append(("straightforward", f"products of {kind}, equal scores in any order", plain(asked, stored)))
        if _has_faiss(machine):
            ways.append(("faiss", full, as_stages(machine, asked, stored, faiss=True)))
    return ways


def _has_faiss(machine: Machine) -> bool:
    try:
        check_faiss(machine.device)
    except UserError:
        return False
    return True


def as_stages(machine: Machine, asked: Tensor, stored: Tensor, faiss: bool = False) -> Work:
    """What stages do, but for reading."""
    queries = asked.float().cpu().numpy()

    def work() -> object:
        tiles = ((start, stored[start : start + PASSAGE_BLOCK]) for start in range(0, len(stored), PASSAGE_BLOCK))
        return search_tiles(queries, tiles, K, machine.device, faiss=faiss)

    return work


def plain(asked: Tensor, stored: Tensor) -> Work:
    """A product and torch's top-k a block of queries."""
    rows = max(1, (1 << 31) // (4 * len(stored)))

    def work() -> list[Tensor]:
        return [_products(part, stored).topk(K, dim=1).indices for part in asked.split(rows)]

    return work


def _products(queries: Tensor, passages: Tensor) -> Tensor:
    """Return inner products float32 (Q, n) of (Q, d) and (n, d), summed in float32 whatever the vectors' type."""
    if queries.is_cuda:
        return torch.mm(queries, passages.t(), out_dtype=torch.float32)
    return queries @ passages.t()
