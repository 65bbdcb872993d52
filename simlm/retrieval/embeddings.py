"""The vectors of a corpus, or of queries, as they lie on disk: sharded arrays, one vector a text (Section 3.2)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simlm.errors import UserError
from simlm.files import read_marker

MARKER = "embeddings.json"
KIND = "simlm embeddings 1"


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
            shard = complete_shard(shard_path(self.folder, number), rows)
            if shard is None or shard.shape[1] != self.dim:
                raise UserError(f"{shard_path(self.folder, number)} is missing or damaged: delete it and encode again")
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


def shard_path(folder: Path, number: int) -> Path:
    """Where the vectors of a shard lie."""
    return folder / f"shard-{number:05d}.npy"


def complete_shard(path: Path, rows: int) -> np.ndarray | None:
    """A whole shard of so many rows; None when there is none."""
    try:
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return shard if shard.ndim == 2 and len(shard) == rows else None
