"""Random vectors on disk and in memory, as many as a collection has: whether there is room, and how fast it is."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from transformers import AutoConfig

from simlm.distributed import own_device
from simlm.errors import UserError
from simlm.progress import Bar
from simlm.retrieval.embeddings import KIND, MARKER, Embeddings, shard_path
from simlm.retrieval.search import PASSAGE_BLOCK, QUERY_BLOCK, resident_index, search, search_tiles

SHARD = 1_000_000
NUMBER_BYTES = 4


def try_vectors(rows: int, encoder: Path, depth: int, faiss: bool, device_kind: str, folder: Path) -> dict[str, float]:
    """Write vectors, search them for a block of queries and then for one query, delete them; return the figures.

    Args:
        rows: how many.
        encoder: the folder of a model that is as wide.
        depth: passages a query.
        faiss: whether faiss searches instead of torch.
        device_kind: "cpu" or "cuda".
        folder: where they are written; what an interrupted attempt left there is deleted.

    Raises:
        UserError: there is no room for them on the disk.
    """
    device, width = own_device(device_kind), AutoConfig.from_pretrained(encoder).hidden_size
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size, free = NUMBER_BYTES * rows * width, shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{folder}: vectors of the whole collection take {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "free some space or choose another folder (--results)"
        )
    block = np.random.default_rng(0).standard_normal((min(rows, PASSAGE_BLOCK), width), dtype=np.float32)
    start = time.perf_counter()
    vectors = _written(rows, block, folder)
    written = time.perf_counter()
    search(block[:1], vectors, depth, device, faiss=faiss)
    one = time.perf_counter()
    search(block[:QUERY_BLOCK], vectors, depth, device, faiss=faiss)
    searched = time.perf_counter()
    index = resident_index(vectors, device)
    search_tiles(block[:1], index, depth, device, faiss=faiss)
    answered = time.perf_counter()
    shutil.rmtree(folder)
    return {
        "vectors": rows,
        "width": width,
        "bytes": size,
        "write_seconds": written - start,
        "queries": len(block[:QUERY_BLOCK]),
        "one_query_seconds": one - written,
        "search_seconds": searched - one,
        "resident_seconds": answered - searched,
    }


def _written(rows: int, block: np.ndarray, folder: Path) -> Embeddings:
    """Write the block again and again, in shards as those of an encoded collection."""
    with Bar(total=rows, unit=" vectors", desc="vectors of the whole collection", disable=None) as bar:
        for number, first in enumerate(range(0, rows, SHARD)):
            count = min(SHARD, rows - first)
            shard = open_memmap(shard_path(folder, number), mode="w+", dtype=np.float32, shape=(count, block.shape[1]))
            for place in range(0, count, len(block)):
                part = shard[place : place + len(block)]
                part[:] = block[: len(part)]
                bar.update(len(part))
            shard.flush()
    meta = {"format": KIND, "rows": rows, "dim": block.shape[1], "shard_size": SHARD}
    (folder / MARKER).write_text(json.dumps(meta) + "\n", encoding="utf-8")
    return Embeddings.open(folder)
