"""Late interaction, as of ColBERT: an index with a vector for every token.

The index is what a multi-vector system keeps before any compression, 16 bit a dimension (Table 3). `baselines.maxsim`
searches it.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from torch import Tensor

from simlm.distributed import is_first, processes, rank, wait_for_all
from simlm.errors import UserError
from simlm.progress import Bar
from simlm.workflow.manifest import read_json, write_json

T = TypeVar("T")

TEXTS = 4_096
"""Passages encoded in one go."""


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
    """Encode all texts into ``folder``; memory holds a block of them a process. UserError for NaN or infinity.

    A second call goes on behind the last blocks that were written whole, which a file beside ``folder`` tells: it
    belongs to one encoder and to the same texts. Several processes (`simlm.distributed`) that call this together encode
    a block each, and the first writes them one behind the other: what one process would write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder.with_suffix(".json")
    done = _written(note, folder)
    wait_for_all()  # until all have read it
    with ExitStack() as files:
        if is_first():
            vectors = files.enter_context(_from(folder / "vectors.bin", done["tokens"] * done["dimensions"] * 2))
            lengths = files.enter_context(_from(folder / "lengths.bin", done["texts"] * 4))
        bar = files.enter_context(
            Bar(total=total, initial=done["texts"], unit=" texts", desc="encode tokens", disable=None)
        )
        for blocks in _batched(_batched(islice(texts, done["texts"], None), TEXTS), processes()):
            own = _encoded(encoder, blocks[rank()]) if rank() < len(blocks) else None
            for block, sizes in _together(own, len(blocks), folder):
                _append(vectors, block)
                _append(lengths, sizes)
                texts_done, tokens_done = done["texts"] + len(sizes), done["tokens"] + len(block)
                done = {"texts": texts_done, "tokens": tokens_done, "dimensions": block.shape[1]}
            if is_first():
                write_json(note, done)
            bar.update(sum(map(len, blocks)))
    wait_for_all()
    return TokenIndex(folder, _written(note, folder)["dimensions"])


def _encoded(encoder: Any, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of texts end to end, float16 (tokens, d), and how many each has, int32 (texts,)."""
    found = encoder.encode_document(texts, convert_to_numpy=True, show_progress_bar=False)
    block = np.concatenate(found).astype(np.float16)
    check_finite([block])
    return block, np.array([len(one) for one in found], dtype=np.int32)


def check_finite(vectors: Iterable[np.ndarray]) -> None:
    """UserError where an encoder's vectors (tokens, d) of a text are not all numbers."""
    if not all(np.isfinite(one).all() for one in vectors):
        raise UserError("the encoder gave NaN or infinite vectors: check its checkpoint")


def _together(
    own: tuple[np.ndarray, np.ndarray] | None, blocks: int, folder: Path
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What the first ``blocks`` processes have encoded, in their order, for the first; it is told by files."""
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
