"""Multi-vector retrieval, as of ColBERT (Khattab and Zaharia, SIGIR 2020): an index with a vector for every token.

The index is what a multi-vector system keeps before any compression, 16 bit a dimension (Table 3). It is searched
exactly, by MaxSim: a query's score for a passage is the sum, over the query's vectors, of the largest inner product
with one of the passage's. All passages are scored: what candidates an approximate search would have found has no part
in the figures.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from torch import Tensor

from simlm.distributed import is_first, processes, rank, summed, wait_for_all
from simlm.errors import UserError
from simlm.files import read_sealed, write_sealed
from simlm.progress import Bar, say

T = TypeVar("T")

TEXTS = 4_096
"""Passages encoded in one go."""
BLOCK = 8_192
"""Passages among which the best are looked for in one go."""
PRODUCTS = 1 << 26
"""Inner products held at once, 4 bytes each."""

NOTHING = {"texts": 0, "tokens": 0, "dimensions": 0}
"""What is written of an index before its first block."""


def open_encoder(folder: Path, device: torch.device) -> Any:
    """Open sentence-transformers' MultiVectorEncoder of a folder; UserError where there is none, or no such library."""
    try:
        from sentence_transformers import MultiVectorEncoder
    except ImportError as error:
        raise UserError(
            "multi-vector systems need sentence-transformers, which is not installed; install it: "
            "pip install 'sentence-transformers>=6.2'"
        ) from error
    try:
        return MultiVectorEncoder(
            str(folder),
            device=str(device),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except Exception as error:  # damage surfaces as a dozen unrelated types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder}: not a multi-vector checkpoint ({reason}); fetch the repository again") from error


class TokenIndex:
    """The vectors of n passages end to end, float16 (all tokens, d), and the number of each passage's (n,)."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        self.lengths = np.fromfile(folder / "lengths.bin", dtype=np.int32)
        self.vectors = np.memmap(folder / "vectors.bin", dtype=np.float16, mode="r").reshape(-1, dimensions)
        self.ends = np.cumsum(self.lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def block(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return passages start to stop, padded: vectors float32 (p, L, d), and which are a passage's own (p, L)."""
        lengths = self.lengths[start:stop]
        own = np.arange(lengths.max(initial=1)) < lengths[:, None]
        padded = np.zeros((*own.shape, self.vectors.shape[1]), dtype=np.float32)
        padded[own] = self.vectors[self.ends[start] - self.lengths[start] : self.ends[stop - 1]]
        return torch.from_numpy(padded), torch.from_numpy(own)


def write_index(encoder: Any, texts: Iterable[tuple[str, str]], total: int, folder: Path) -> TokenIndex:
    """Encode all texts into a folder; memory holds a block of them a process.

    A second call goes on behind the last blocks that were written whole, which a file beside ``folder`` tells, with
    their checksums: the folder belongs to one encoder and to the same texts. Several processes (`simlm.distributed`)
    that call this together encode a block each, and the first writes what one process would write.

    Args:
        encoder: Of `open_encoder`.
        texts: The ids and texts of the passages, in order.
        total: How many there are.
        folder: Where vectors.bin and lengths.bin go.

    Raises:
        UserError: A vector is NaN or infinite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder.with_suffix(".json")
    hashes = _hashes(note, folder) if is_first() else {}
    wait_for_all()  # until a note that does not fit is gone
    done = read_sealed(note) or NOTHING
    wait_for_all()  # until all have read it
    with ExitStack() as files:
        open_files = {name: files.enter_context(_from(folder / name, _sizes(done)[name])) for name in hashes}
        bar = files.enter_context(
            Bar(total=total, initial=done["texts"], unit=" texts", desc="encode tokens", disable=None)
        )
        for blocks in _batched(_batched(islice(texts, done["texts"], None), TEXTS), processes()):
            own = _encoded(encoder, blocks[rank()]) if rank() < len(blocks) else None
            for block, sizes in _together(own, len(blocks), folder):
                for (name, file), values in zip(open_files.items(), (block, sizes), strict=True):
                    _append(file, values)
                    hashes[name].update(values.tobytes())
                texts_done, tokens_done = done["texts"] + len(sizes), done["tokens"] + len(block)
                done = {"texts": texts_done, "tokens": tokens_done, "dimensions": block.shape[1]}
            if is_first():
                write_sealed(note, done | {name: one.hexdigest() for name, one in hashes.items()})
            bar.update(sum(map(len, blocks)))
    wait_for_all()
    return TokenIndex(folder, (read_sealed(note) or NOTHING)["dimensions"])


def _encoded(encoder: Any, passages: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of texts end to end, float16 (tokens, d), and how many each has, int32 (texts,)."""
    found = encoder.encode_document([text for _, text in passages], convert_to_numpy=True, show_progress_bar=False)
    block = [one.astype(np.float16) for one in found]
    for (name, _), vectors in zip(passages, block, strict=True):
        check_finite(vectors, f"passage {name!r}")
    return np.concatenate(block), np.array([len(one) for one in found], dtype=np.int32)


def check_finite(vectors: np.ndarray, whose: str) -> None:
    """Raise UserError where an encoder's vectors (tokens, d) of a text are not all numbers."""
    if not np.isfinite(vectors).all():
        raise UserError(f"the encoder gave NaN or infinite vectors for {whose}: check its checkpoint")


def _together(
    own: tuple[np.ndarray, np.ndarray] | None, blocks: int, folder: Path
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, in the first process, what the first ``blocks`` processes have encoded, in their order, through files."""
    parts = [folder.with_name(f"{folder.name}-{number}.npz") for number in range(blocks)]
    if own is not None and not is_first():
        np.savez(parts[rank()], vectors=own[0], lengths=own[1])
    wait_for_all()
    if is_first():
        assert own is not None  # the first has a block whenever any has
        yield own
        for path in parts[1:]:
            with np.load(path, allow_pickle=False) as part:
                yield part["vectors"], part["lengths"]
            path.unlink()
    wait_for_all()


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def _sizes(done: Mapping[str, int]) -> dict[str, int]:
    """Return how many bytes of each file a note speaks of."""
    return {"vectors.bin": done["tokens"] * done["dimensions"] * 2, "lengths.bin": done["texts"] * 4}


def _hashes(note: Path, folder: Path) -> "dict[str, hashlib._Hash]":
    """Return a hash of what is whole in each file; a note that does not fit the files is removed, and that is said."""
    done = read_sealed(note)
    if done is not None:
        hashes = {name: _hash_of(folder / name, size) for name, size in _sizes(done).items()}
        if all(done[name] == one.hexdigest() for name, one in hashes.items()):
            return hashes
    if note.exists():
        say(f"{folder} or {note.name} beside it is damaged: the index is made again")
        note.unlink()
    return {name: hashlib.sha256() for name in _sizes(NOTHING)}


def _hash_of(path: Path, size: int) -> "hashlib._Hash":
    found = hashlib.sha256()
    with path.open("rb") if path.exists() else BytesIO() as file:
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            found.update(block)
            size -= len(block)
    return found


def _from(path: Path, size: int) -> BinaryIO:
    """Open a file to write on behind its first ``size`` bytes; cut off the rest."""
    file = path.open("ab")
    file.truncate(size)
    return file


def _append(file: BinaryIO, values: np.ndarray) -> None:
    """Write an array's bytes through to the disk."""
    file.write(values.tobytes())
    file.flush()
    os.fsync(file.fileno())


def search_tokens(
    queries: list[np.ndarray], index: TokenIndex, k: int, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k passages with the largest MaxSim with each query, equal scores by passage index.

    Several processes (`simlm.distributed`) that call this together take the blocks of passages in turn, and all have
    the results of one process. Memory holds a block's vectors and scores, a bounded number of inner products and, some
    40 bytes each, every process's results.

    Args:
        queries: Vectors of each query, float32 (tokens, d).
        index: What is searched.
        k: No more than the passages.
        device: Where products are computed.

    Returns:
        Scores float32 (Q, k), decreasing, and indices int64 (Q, k).

    Raises:
        UserError: A query's vectors are not all numbers.
    """
    for number, query in enumerate(queries):
        check_finite(query, f"query number {number}")
    asked, real = _padded(queries)
    asked, real = asked.to(device), real.to(device)
    passages = len(index)
    scores = torch.empty((len(queries), 0), device=device)
    indices = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    with torch.inference_mode(), Bar(total=passages, unit=" passages", desc="MaxSim", disable=None) as bar:
        for start in range(rank() * BLOCK, passages, processes() * BLOCK):
            stop = min(start + BLOCK, passages)
            found = _block_scores(asked, real, index, start, stop, device)
            places = torch.arange(start, stop, device=device).expand_as(found)
            # Earlier passages stand first and have smaller indices: a stable sort settles ties by index.
            scores, order = torch.cat([scores, found], dim=1).sort(dim=1, descending=True, stable=True)
            indices = torch.cat([indices, places], dim=1).gather(1, order)[:, :k]
            scores = scores[:, :k]
            # About as many as all have scored by now.
            bar.update(min((stop - start) * processes(), passages - bar.done))
        if processes() > 1:
            scores, indices = _best_of_all(scores, indices, k, passages)
    return scores.cpu().numpy(), indices.cpu().numpy()


def _best_of_all(scores: Tensor, indices: Tensor, k: int, passages: int) -> tuple[Tensor, Tensor]:
    """Return the k best of what each process has found, (Q, at most k) each, equal scores by index; in all alike."""
    every_score = scores.new_zeros((processes(), len(scores), k))
    every_index = indices.new_zeros((processes(), len(scores), k))
    every_score[rank()], every_index[rank()] = -torch.inf, passages
    every_score[rank(), :, : scores.shape[1]], every_index[rank(), :, : scores.shape[1]] = scores, indices
    found = summed(every_score).transpose(0, 1).flatten(1)  # (Q, processes k)
    places, order = summed(every_index).transpose(0, 1).flatten(1).sort(dim=1)
    best, order = found.gather(1, order).sort(dim=1, descending=True, stable=True)
    return best[:, :k], places.gather(1, order)[:, :k]


def _block_scores(
    asked: Tensor, real: Tensor, index: TokenIndex, start: int, stop: int, device: torch.device | str
) -> Tensor:
    """Return the scores (Q, stop - start) of passages start to stop."""
    found = torch.empty((len(asked), stop - start), device=device)
    step = 256
    for first in range(start, stop, step):
        vectors, own = (tensor.to(device) for tensor in index.block(first, min(first + step, stop)))
        flat = vectors.flatten(0, 1).T  # (d, p L)
        size = max(1, PRODUCTS // (asked.shape[1] * flat.shape[1]))
        for row in range(0, len(asked), size):
            products = (asked[row : row + size] @ flat).unflatten(2, own.shape)  # (q, i, p, L)
            best = products.masked_fill(~own, -torch.inf).amax(3)  # (q, i, p)
            kept = real[row : row + size, :, None]
            found[row : row + size, first - start : first - start + len(own)] = best.where(kept, 0.0).sum(1)
    return found


def _padded(queries: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Pad the vectors of queries: (Q, I, d), and which of them are real (Q, I)."""
    longest = max(map(len, queries))
    vectors = torch.zeros((len(queries), longest, queries[0].shape[1]))
    real = torch.zeros((len(queries), longest), dtype=torch.bool)
    for row, query in enumerate(queries):
        vectors[row, : len(query)] = torch.from_numpy(query)
        real[row, : len(query)] = True
    return vectors, real
