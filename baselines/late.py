"""Late interaction, as of ColBERT: an index with a vector for every token, and its exact search by MaxSim.

The index is what a multi-vector system keeps before any compression, 16 bit a dimension (Table 3). A query's score for
a passage is the sum, over the query's vectors, of the largest inner product with one of the passage's. All passages are
scored: what candidates an approximate search would have found has no part in the figures.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from simlm.errors import UserError
from simlm.progress import Bar
from simlm.stages.manifest import read_json, write_json

TEXTS = 4_096
"""Passages encoded in one go."""
BLOCK = 8_192
"""Passages among which the best are looked for in one go."""
PRODUCTS = 1 << 26
"""Inner products held at once, 4 bytes each."""


def open_encoder(folder: Path, device: torch.device) -> Any:
    """sentence-transformers' MultiVectorEncoder of a folder; UserError where there is none, or no such library."""
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
        """Passages start to stop, padded: vectors float32 (p, L, d), and which of them are a passage's own (p, L)."""
        lengths = self.lengths[start:stop]
        own = np.arange(lengths.max(initial=1)) < lengths[:, None]
        padded = np.zeros((*own.shape, self.vectors.shape[1]), dtype=np.float32)
        padded[own] = self.vectors[self.ends[start] - self.lengths[start] : self.ends[stop - 1]]
        return torch.from_numpy(padded), torch.from_numpy(own)


def write_index(encoder: Any, texts: Iterable[str], total: int, folder: Path) -> TokenIndex:
    """Encode all texts into ``folder``; memory holds a block of them. UserError for vectors with NaN or infinity.

    A second call goes on behind the last block that was written whole, which a file beside ``folder`` tells: it belongs
    to one encoder and to the same texts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder.with_suffix(".json")
    done = _written(note, folder)
    with (
        _from(folder / "vectors.bin", done["tokens"] * done["dimensions"] * 2) as vectors,
        _from(folder / "lengths.bin", done["texts"] * 4) as lengths,
        Bar(total=total, initial=done["texts"], unit=" texts", desc="encode tokens", disable=None) as bar,
    ):
        for some in _blocks(islice(texts, done["texts"], None)):
            found = encoder.encode_document(some, convert_to_numpy=True, show_progress_bar=False)
            block = np.concatenate(found).astype(np.float16)
            if not np.isfinite(block).all():
                raise UserError("the encoder gave NaN or infinite vectors: check its checkpoint")
            _append(vectors, block)
            _append(lengths, np.array([len(one) for one in found], dtype=np.int32))
            texts_done, tokens_done = done["texts"] + len(some), done["tokens"] + len(block)
            done = {"texts": texts_done, "tokens": tokens_done, "dimensions": block.shape[1]}
            write_json(note, done)
            bar.update(len(some))
    return TokenIndex(folder, done["dimensions"])


def search_tokens(
    queries: list[np.ndarray], index: TokenIndex, k: int, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """The k passages with the largest MaxSim with each query, equal scores by passage index.

    ``queries`` are float32 (tokens, d) each. Returns scores float32 (Q, k), decreasing, and indices int64 (Q, k), with
    k no more than the passages. Memory holds a block's vectors and scores, and a bounded number of inner products.
    """
    asked, real = _padded(queries)
    asked, real = asked.to(device), real.to(device)
    passages = len(index)
    scores = torch.empty((len(queries), 0), device=device)
    indices = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    with torch.inference_mode(), Bar(total=passages, unit=" passages", desc="MaxSim", disable=None) as bar:
        for start in range(0, passages, BLOCK):
            stop = min(start + BLOCK, passages)
            found = _block_scores(asked, real, index, start, stop, device)
            places = torch.arange(start, stop, device=device).expand_as(found)
            # Earlier passages stand first and have smaller indices: a stable sort settles ties by index.
            scores, order = torch.cat([scores, found], dim=1).sort(dim=1, descending=True, stable=True)
            indices = torch.cat([indices, places], dim=1).gather(1, order)[:, :k]
            scores = scores[:, :k]
            bar.update(stop - start)
    return scores.cpu().numpy(), indices.cpu().numpy()


def _block_scores(
    asked: Tensor, real: Tensor, index: TokenIndex, start: int, stop: int, device: torch.device | str
) -> Tensor:
    """(Q, stop - start)"""
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
    """Vectors (Q, I, d) of queries of different lengths, and which of them are real (Q, I)."""
    longest = max(map(len, queries))
    vectors = torch.zeros((len(queries), longest, queries[0].shape[1]))
    real = torch.zeros((len(queries), longest), dtype=torch.bool)
    for row, query in enumerate(queries):
        vectors[row, : len(query)] = torch.from_numpy(query)
        real[row, : len(query)] = True
    return vectors, real


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while some := list(islice(iterator, TEXTS)):
        yield some


def _written(note: Path, folder: Path) -> dict[str, int]:
    """What a note says of the files in ``folder``, or that there is nothing where they are not there or shorter."""
    done = read_json(note)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    if (
        done is None
        or sizes.get("vectors.bin", -1) < done["tokens"] * done["dimensions"] * 2
        or sizes.get("lengths.bin", -1) < done["texts"] * 4
    ):
        return {"texts": 0, "tokens": 0, "dimensions": 0}
    return done


def _from(path: Path, size: int) -> BinaryIO:
    """A file to write on behind its first ``size`` bytes, the rest cut off."""
    file = path.open("ab")
    file.truncate(size)
    return file


def _append(file: BinaryIO, values: np.ndarray) -> None:
    """Write an array's bytes through to the disk."""
    file.write(values.tobytes())
    file.flush()
    os.fsync(file.fileno())
