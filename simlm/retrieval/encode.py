"""Encoding a corpus (or queries) into sharded, memory-mapped arrays, one vector a text (Section 3.2)."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from simlm.data.folders import read_marker
from simlm.data.inputs import Encoded, Specials, batch_inputs, padded_length, passage_input
from simlm.data.tokens import TokenStore
from simlm.errors import UserError
from simlm.group import is_first, processes, rank, wait_for_all
from simlm.progress import Bar

MARKER = "embeddings.json"
KIND = "simlm embeddings 1"

Encode = Callable[[Any], Tensor]
"""A batch of inputs, int64 (B, L) each where they are padded, to vectors (B, d)."""


class Embeddings:
    """The vectors of n passages, float32 or float16 (n, dim), in memory-mapped shards.

    All shards hold `shard_size` vectors; the last may hold fewer.
    """

    def __init__(self, folder: Path) -> None:
        meta = read_marker(folder, MARKER, KIND)
        self.folder = folder
        self.dim: int = meta["dim"]
        self.shard_size: int = meta["shard_size"]
        self._rows: int = meta["rows"]

    @classmethod
    def open(cls, folder: Path) -> "Embeddings":
        """Opens what `encode_texts` wrote; UserError when the folder holds no complete embeddings."""
        try:
            return cls(folder)
        except KeyError as error:
            raise UserError(f"{folder / MARKER} lacks {error}: delete {folder} and encode again") from None

    def __len__(self) -> int:
        return self._rows

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each shard in turn: the index of its first vector and its vectors (m, dim), memory-mapped."""
        for number, start in enumerate(range(0, self._rows, self.shard_size)):
            rows = min(self.shard_size, self._rows - start)
            shard = _complete_shard(_shard_path(self.folder, number), rows)
            if shard is None or shard.shape[1] != self.dim:
                raise UserError(f"{_shard_path(self.folder, number)} is missing or damaged: delete it and encode again")
            yield start, shard

    def tiles(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """The same in blocks of at most so many vectors of a shard."""
        for first, shard in self.shards():
            for start in range(0, len(shard), size):
                yield first + start, shard[start : start + size]

    def read(self) -> np.ndarray:
        """All vectors, float32 (n, dim), in memory: for queries."""
        parts = [np.asarray(shard, dtype=np.float32) for _, shard in self.shards()]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), dtype=np.float32)


def encode_texts(
    encode_batch: Encode,
    store: TokenStore,
    specials: Specials,
    folder: Path,
    max_length: int,
    batch_tokens: int = 16_384,
    shard_size: int = 1_000_000,
    dtype: type[np.float32] | type[np.float16] = np.float32,
    device: torch.device | str = "cpu",
    collate: Callable[[list[Encoded]], Any] | None = None,
) -> Embeddings:
    """Encodes every text of a store into `folder`, in the store's order; without gradient.

    Inputs are (title, text) pairs where the store has titles, cut at `max_length` tokens (144 for passages and 32 for
    queries at paper scale, Section 4.1). Inside a shard texts go by length, longest first, in batches of at most
    `batch_tokens` tokens with padding. Memory holds a batch and the shard's page-cached file, and beside them some 36
    bytes a text of the shard. A shard appears when it is whole, so a second call continues with the first missing
    one. `folder` belongs to one model and store: shards that are there are taken as theirs. Autocast is the caller's,
    inside `encode_batch`, and so is what it reads where `collate` makes that of a batch's tokenised texts; otherwise
    these are padded to the longest, on `device`.

    Several processes (`simlm.group`) that call this together take a shard's batches in turn, each writing its vectors
    into the one file: the batches, and so the vectors, are those of one process.

    Raises UserError for a store without texts and for vectors with NaN or infinity.
    """
    if len(store) == 0:
        raise UserError(f"{store.folder} holds no text to encode; build it from a collection that has some")
    if collate is None:
        collate = partial(_padded, specials=specials, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    if is_first():
        (folder / MARKER).unlink(missing_ok=True)
    dim = 0
    with Bar(total=len(store), unit=" texts", desc=f"encode {folder.name}", disable=None) as bar:
        for number, start in enumerate(range(0, len(store), shard_size)):
            indices = np.arange(start, min(start + shard_size, len(store)))
            path = _shard_path(folder, number)
            shard = _complete_shard(path, len(indices))
            if shard is None or shard.dtype != dtype:
                with torch.inference_mode():
                    batches = _encoded(encode_batch, collate, store, specials, indices, max_length, batch_tokens, bar)
                    _write_shard(path, batches, len(indices), dtype)
                shard = _complete_shard(path, len(indices))
                assert shard is not None  # it was written just now
            else:
                bar.update(len(indices))
            dim = shard.shape[1]
    meta = {
        "format": KIND,
        "rows": len(store),
        "dim": dim,
        "shard_size": shard_size,
        "max_length": max_length,
    }
    if is_first():
        temporary = folder / f".{MARKER}.tmp"
        temporary.write_text(json.dumps(meta) + "\n", encoding="utf-8")
        os.replace(temporary, folder / MARKER)
    wait_for_all()
    return Embeddings.open(folder)


def length_batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Positions of `lengths` (n), longest first, in batches of at most `batch_tokens` tokens with padding.

    A batch holds at least one text, however long.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // padded_length(int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def _encoded(
    encode_batch: Encode,
    collate: Callable[[list[Encoded]], Any],
    store: TokenStore,
    specials: Specials,
    indices: np.ndarray,
    max_length: int,
    batch_tokens: int,
    bar: Bar,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions inside a shard and their vectors (B, d), batch by batch, those of this process."""
    special_tokens = 3 if store.has_titles else 2
    lengths = np.minimum(store.lengths[indices] + special_tokens, max_length)
    for positions in islice(length_batches(lengths, batch_tokens), rank(), None, processes()):
        rows = [
            passage_input(store.title(index), store.text(index), max_length, specials)
            for index in indices[positions].tolist()
        ]
        vectors = encode_batch(collate(rows)).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise UserError(
                f"the encoder gave NaN or infinite vectors for {store.folder}: "
                "check its checkpoint, or encode in float32"
            )
        yield positions, vectors
        # About as many as all have encoded by now.
        bar.update(min(len(positions) * processes(), bar.total - bar.done))


def _padded(rows: list[Encoded], specials: Specials, device: torch.device | str) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in batch_inputs(rows, specials).items()}


def _write_shard(
    path: Path, batches: Iterator[tuple[np.ndarray, np.ndarray]], rows: int, dtype: type[np.generic]
) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    shard: np.memmap | None = None
    if is_first():  # a shard has a text, so the first process has a batch of it
        positions, vectors = next(batches)
        shard = open_memmap(temporary, mode="w+", dtype=dtype, shape=(rows, vectors.shape[1]))
        shard[positions] = vectors
    wait_for_all()
    if shard is None:
        shard = open_memmap(temporary, mode="r+")
    for positions, vectors in batches:
        shard[positions] = vectors
    shard.flush()
    wait_for_all()
    if is_first():
        os.replace(temporary, path)
    wait_for_all()


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.npy"


def _complete_shard(path: Path, rows: int) -> np.ndarray | None:
    """A whole shard of so many rows; None when there is none."""
    try:
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return shard if shard.ndim == 2 and len(shard) == rows else None
