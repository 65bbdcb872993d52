"""Encoding a corpus, or queries, into `Embeddings` (Section 3.2), by whatever makes vectors of a batch."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from simlm.data.inputs import Encoded, Specials, batch_inputs, padded_length, passage_input
from simlm.data.tokens import TokenStore
from simlm.distributed import is_first, processes, rank, wait_for_all
from simlm.errors import UserError
from simlm.files import put_in_place, write_atomically
from simlm.progress import Bar
from simlm.retrieval.embeddings import KIND, MARKER, Embeddings, complete_shard, shard_path

Encode = Callable[[Any], Tensor]
"""A batch of inputs, int64 (B, L) each where they are padded, to vectors (B, d)."""


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

    Several processes (`simlm.distributed`) that call this together take a shard's batches in turn, each writing its
    vectors into the one file: the batches, and so the vectors, are those of one process.

    Raises UserError for a store without texts and for vectors with NaN or infinity.
    """
    if len(store) == 0:
        raise UserError(f"{store.folder} holds no text to encode; build it from a collection that has some")
    if collate is None:
        collate = partial(_padded, specials=specials, device=device)
    batches = _Batches(encode_batch, collate, store, specials, max_length, batch_tokens)
    folder.mkdir(parents=True, exist_ok=True)
    if is_first():
        (folder / MARKER).unlink(missing_ok=True)
    dim = 0
    with Bar(total=len(store), unit=" texts", desc=f"encode {folder.name}", disable=None) as bar:
        for number, start in enumerate(range(0, len(store), shard_size)):
            indices = np.arange(start, min(start + shard_size, len(store)))
            path = shard_path(folder, number)
            shard = complete_shard(path, len(indices))
            if shard is None or shard.dtype != dtype:
                shard = _write_shard(path, batches.encoded(indices, bar), len(indices), dtype)
            else:
                bar.update(len(indices))
            dim = shard.shape[1]
    if is_first():
        _write_marker(folder, rows=len(store), dim=dim, shard_size=shard_size, max_length=max_length)
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


@dataclass(frozen=True)
class _Batches:
    """How the texts of a store become vectors, batch by batch."""

    encode: Encode
    collate: Callable[[list[Encoded]], Any]
    store: TokenStore
    specials: Specials
    max_length: int
    batch_tokens: int

    def encoded(self, indices: np.ndarray, bar: Bar) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places among ``indices`` and their texts' vectors (B, d), batch by batch, those of this process."""
        special_tokens = 3 if self.store.has_titles else 2
        lengths = np.minimum(self.store.lengths[indices] + special_tokens, self.max_length)
        for places in islice(length_batches(lengths, self.batch_tokens), rank(), None, processes()):
            yield places, self._vectors(indices[places].tolist())
            # About as many as all have encoded by now.
            bar.update(min(len(places) * processes(), bar.total - bar.done))

    @torch.inference_mode()
    def _vectors(self, indices: list[int]) -> np.ndarray:
        rows = [
            passage_input(self.store.title(index), self.store.text(index), self.max_length, self.specials)
            for index in indices
        ]
        vectors = self.encode(self.collate(rows)).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise UserError(
                f"the encoder gave NaN or infinite vectors for {self.store.folder}: "
                "check its checkpoint, or encode in float32"
            )
        return vectors


def _padded(rows: list[Encoded], specials: Specials, device: torch.device | str) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in batch_inputs(rows, specials).items()}


def _write_shard(
    path: Path, batches: Iterator[tuple[np.ndarray, np.ndarray]], rows: int, dtype: type[np.generic]
) -> np.ndarray:
    """The shard, memory-mapped, of what all processes' batches give."""
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
        put_in_place(temporary, path)
    wait_for_all()
    written = complete_shard(path, rows)
    assert written is not None  # just now
    return written


def _write_marker(folder: Path, **meta: int) -> None:
    write_atomically(folder / MARKER, (json.dumps({"format": KIND, **meta}) + "\n").encode())
