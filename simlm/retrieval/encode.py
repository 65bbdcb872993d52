"""Encoding a corpus, or queries, into `Embeddings` (Section 3.2)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from simlm.data.inputs import Specials, passage_input
from simlm.data.tokens import TokenStore
from simlm.distributed import is_first, processes, rank, wait_for_all
from simlm.errors import UserError
from simlm.files import intact, put_in_place, seal, write_atomically
from simlm.packed.layouts import Inference, length_batches
from simlm.progress import Bar
from simlm.retrieval.embeddings import KIND, MARKER, Embeddings, complete_shard, shard_path


def encode_texts(
    encode: Inference,
    store: TokenStore,
    specials: Specials,
    folder: Path,
    max_length: int,
    batch_tokens: int | None = None,
    shard_size: int = 1_000_000,
) -> Embeddings:
    """Encode every text of a store into a folder, in the store's order.

    Inside a shard texts go by length, longest first. A shard appears when it is whole, so a second call continues with
    the first missing one. Memory holds a batch and the shard's page-cached file, and some 36 bytes a text of the shard.

    Several processes (`simlm.distributed`) that call this together take a shard's batches in turn, each writing its
    vectors into the one file: the batches, and so the vectors, are those of one process.

    Args:
        encode: gives texts their vectors.
        store: the texts; where it has titles, inputs are (title, text) pairs.
        specials: the tokenizer's special tokens.
        folder: belongs to one model and store: shards that are there are taken as theirs.
        max_length: inputs are cut at so many tokens (144 for passages and 32 for queries at paper scale, Section 4.1).
        batch_tokens: most tokens of a batch, padding included; None for what ``encode`` says.
        shard_size: vectors of a shard.

    Raises:
        UserError: for a store without texts, and for vectors with NaN or infinity.
    """
    if len(store) == 0:
        raise UserError(f"{store.folder} holds no text to encode; build it from a collection that has some")
    tokens = encode.batch_tokens if batch_tokens is None else batch_tokens
    batches = _Batches(encode, store, specials, max_length, tokens)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [shard_path(folder, number) for number in range(-(-len(store) // shard_size))]
    if is_first():
        (folder / MARKER).unlink(missing_ok=True)
        for path in paths:
            intact(path)
    wait_for_all()  # until damaged shards are gone
    dim = 0
    with Bar(total=len(store), unit=" texts", desc=f"encode {folder.name}", disable=None) as bar:
        for number, path in enumerate(paths):
            indices = np.arange(number * shard_size, min((number + 1) * shard_size, len(store)))
            shard = complete_shard(path, len(indices))
            if shard is None or shard.dtype != np.float32:
                shard = _write_shard(path, batches.encoded(indices, bar), len(indices))
            else:
                bar.update(len(indices))
            dim = shard.shape[1]
    if is_first():
        meta = {"format": KIND, "rows": len(store), "dim": dim, "shard_size": shard_size, "max_length": max_length}
        write_atomically(folder / MARKER, (json.dumps(meta) + "\n").encode())
    wait_for_all()
    return Embeddings.open(folder)


@dataclass(frozen=True)
class _Batches:
    """How the texts of a store become vectors, batch by batch."""

    encode: Inference
    store: TokenStore
    specials: Specials
    max_length: int
    batch_tokens: int

    def encoded(self, indices: np.ndarray, bar: Bar) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield places among ``indices`` and the vectors (B, d) of their texts, for the batches of this process."""
        special_tokens = 3 if self.store.has_titles else 2
        lengths = np.minimum(self.store.lengths[indices] + special_tokens, self.max_length)
        for places in islice(length_batches(lengths, self.batch_tokens), rank(), None, processes()):
            yield places, self._vectors(indices[places].tolist())
            # About as many as all processes have encoded by now.
            bar.update(min(len(places) * processes(), bar.total - bar.done))

    def _vectors(self, indices: list[int]) -> np.ndarray:
        rows = [
            passage_input(self.store.title(index), self.store.text(index), self.max_length, self.specials)
            for index in indices
        ]
        vectors = self.encode(self.encode.collate(rows)).float().cpu().numpy()
        if not (finite := np.isfinite(vectors).all(axis=1)).all():
            raise UserError(
                f"the encoder gave a vector with NaN or infinity for {self.store.ids[indices[finite.argmin()]]!r} of "
                f"{self.store.folder}: check its checkpoint, or encode in float32"
            )
        return vectors


def _write_shard(path: Path, batches: Iterator[tuple[np.ndarray, np.ndarray]], rows: int) -> np.ndarray:
    """Write a shard of what the batches of all processes give, and memory-map it."""
    temporary = path.with_name(f".{path.name}.tmp")
    shard: np.memmap | None = None
    if is_first():  # a shard has a text, so the first process has a batch of it
        positions, vectors = next(batches)
        shard = open_memmap(temporary, mode="w+", dtype=np.float32, shape=(rows, vectors.shape[1]))
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
        seal(path)
    wait_for_all()
    written = complete_shard(path, rows)
    assert written is not None  # just now
    return written
