"""Exact search: all queries against all vectors on the device, the best 1,000 each."""

from collections.abc import Callable

import torch
from torch import Tensor

from repro.benching.machine import Machine
from repro.benching.measure import Result, measured
from simlm.errors import UserError
from simlm.packed.search import products, search_resident
from simlm.retrieval.faiss_knn import check_faiss
from simlm.retrieval.search import PASSAGE_BLOCK, search_tiles

WIDTH, K = 768, 1_000


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
        what = f"{queries:,} queries x {size:,} x {width}, top {K:,}, {str(stored.dtype).removeprefix('torch.')}"
        for way, work in _ways(machine, asked, stored, smallest=size == sizes[0]):
            results.append(measured(machine, "search", way, what, work, queries, flop, unit="queries"))
        del asked, stored, work
    return results


def _vectors(machine: Machine, rows: int, width: int) -> Tensor:
    vectors = torch.nn.functional.normalize(torch.randn(rows, width, device=machine.device), dim=1)
    return vectors.half() if machine.gpu else vectors


def _ways(machine: Machine, asked: Tensor, stored: Tensor, smallest: bool) -> list[tuple[str, Callable[[], object]]]:
    """Ours at every size, but for what takes long on a GPU; the others at the smallest."""
    ways: list[tuple[str, Callable[[], object]]] = []
    if machine.gpu:
        ways.append(("tiled", tiled(asked, stored)))
    if smallest or not machine.quick:
        ways.append(("streamed", streamed(machine, asked, stored)))
    if smallest:
        ways.append(("straightforward", plain(asked, stored)))
        if _has_faiss(machine):
            ways.append(("faiss", streamed(machine, asked, stored, faiss=True)))
    return ways


def _has_faiss(machine: Machine) -> bool:
    try:
        check_faiss(machine.device)
    except UserError:
        return False
    return True


def streamed(machine: Machine, asked: Tensor, stored: Tensor, faiss: bool = False) -> Callable[[], object]:
    """What stages do, but for reading: float32, equal scores by index."""
    queries = asked.float().cpu().numpy()

    def work() -> object:
        tiles = ((start, stored[start : start + PASSAGE_BLOCK]) for start in range(0, len(stored), PASSAGE_BLOCK))
        return search_tiles(queries, tiles, K, machine.device, faiss=faiss)

    return work


def tiled(asked: Tensor, stored: Tensor) -> Callable[[], object]:
    """Half precision, equal scores in any order."""
    return lambda: search_resident(asked, lambda start, stop: stored[start:stop], len(stored), K)


def plain(asked: Tensor, stored: Tensor) -> Callable[[], object]:
    """A product and torch's top-k a block of queries."""
    rows = max(1, (1 << 31) // (4 * len(stored)))

    def work() -> list[Tensor]:
        return [products(part, stored).topk(K, dim=1).indices for part in asked.split(rows)]

    return work
