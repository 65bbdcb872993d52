"""The vectors of a corpus, or of queries, on disk: sharded arrays, one vector a text (Section 3.2)."""

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
        """Open what `encode_texts` wrote; UserError when the folder holds no complete embeddings."""
        try:
            return cls(folder)
        except KeyError as error:
            raise UserError(f"{folder / MARKER} lacks {error}: delete {folder} and encode again") from None

    def __len__(self) -> int:
        return self._rows

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index of the first vector of each shard and its vectors (m, dim), memory-mapped."""
        for number, start in enumerate(range(0, self._rows, self.shard_size)):
            rows = min(self.shard_size, self._rows - start)
            shard = complete_shard(shard_path(self.folder, number), rows)
            if shard is None or shard.shape[1] != self.dim:
                raise UserError(f"{shard_path(self.folder, number)} is missing or damaged: delete it and encode again")
            yield start, shard

    def tiles(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the same in blocks of at most ``size`` vectors of a shard."""
        for first, shard in self.shards():
            for start in range(0, len(shard), size):
                yield first + start, shard[start : start + size]

    def read(self) -> np.ndarray:
        """Read all vectors into memory, float32 (n, dim): for queries."""
        parts = [np.asarray(shard, dtype=np.float32) for _, shard in self.shards()]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), dtype=np.float32)


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a shard."""
    return folder / f"shard-{number:05d}.npy"


def complete_shard(path: Path, rows: int) -> np.ndarray | None:
    """Memory-map a whole shard of so many rows; None when there is none."""
    try:
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # EOFError: the file is empty
        return None
    return shard if shard.ndim == 2 and len(shard) == rows else None
