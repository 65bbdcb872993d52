"""Exact search: all queries against all vectors on the device, the best 1,000 each."""

from collections.abc import Callable

import torch
from torch import Tensor

from repro.benching.machine import Machine
from repro.benching.measure import Result, measured
from simlm.packed.search import products, search_resident

WIDTH, K = 768, 1_000


def search(machine: Machine) -> list[Result]:
    """Random unit vectors in float16 on a GPU, 128 wide in float32 on a CPU; as many as MS MARCO's, and fewer."""
    queries, width = (6_980, WIDTH) if machine.gpu else (500, 128)
    sizes = ([1_000_000, *([] if machine.quick else [4_000_000]), 8_841_823]) if machine.gpu else [27_413]
    results = []
    for size in sizes:
        asked = _vectors(machine, queries, width)
        stored = torch.cat([_vectors(machine, min(500_000, size - start), width) for start in range(0, size, 500_000)])
        flop = 2.0 * queries * size * width
        what = f"{queries:,} queries x {size:,} x {width}, top {K:,}, {str(stored.dtype).removeprefix('torch.')}"
        for way, work in (("tiled", tiled(asked, stored)), ("straightforward", plain(asked, stored))):
            if way == "tiled" or size == sizes[0]:
                results.append(measured(machine, "search", way, what, work, queries, flop, unit="queries"))
        del asked, stored, work
    return results


def _vectors(machine: Machine, rows: int, width: int) -> Tensor:
    vectors = torch.nn.functional.normalize(torch.randn(rows, width, device=machine.device), dim=1)
    return vectors.half() if machine.gpu else vectors


def tiled(asked: Tensor, stored: Tensor) -> Callable[[], object]:
    """Ours."""
    return lambda: search_resident(asked, lambda start, stop: stored[start:stop], len(stored), K)


def plain(asked: Tensor, stored: Tensor) -> Callable[[], object]:
    """A product and torch's top-k a block of queries."""
    rows = max(1, (1 << 31) // (4 * len(stored)))

    def work() -> list[Tensor]:
        return [products(part, stored).topk(K, dim=1).indices for part in asked.split(rows)]

    return work
