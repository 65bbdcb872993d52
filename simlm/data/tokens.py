"""The pieces of every passage (or query) in one flat, memory-mapped file."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from simlm.data.ids import IdTable, IdTableWriter, mapped
from simlm.data.tokenizer import PieceMaker
from simlm.errors import UserError
from simlm.files import atomic_folder, read_marker
from simlm.progress import Bar

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARKER = "store.json"
KIND = "simlm token store 1"
BATCH = 1024
MAX_PIECES = 512
"""Where titles and texts are each cut off: as many as the models have positions."""


class TokenStore:
    """Word pieces of n passages or queries, without special tokens, memory-mapped.

    On disk: `tokens.bin`, all pieces end to end (uint16 where the vocabulary allows, int32 otherwise);
    `bounds.bin`, int64: the boundaries between texts (n + 1), or between titles and texts in turn (2 n + 1)
    when the collection has titles; `lengths.bin`, int32 (n,); the IdTable's files; `store.json`, written
    last.
    """

    def __init__(self, folder: Path) -> None:
        meta = read_marker(folder, MARKER, KIND)
        self.folder = folder
        self.has_titles: bool = meta["has_titles"]
        self._tokens = mapped(folder / "tokens.bin", meta["dtype"])
        self._bounds = mapped(folder / "bounds.bin", np.int64)
        self.lengths: npt.NDArray[np.int32] = mapped(folder / "lengths.bin", np.int32)
        self.ids = IdTable(folder)
        parts = 2 if self.has_titles else 1
        if not len(self.lengths) == len(self.ids) == meta["rows"] or len(self._bounds) != parts * meta["rows"] + 1:
            raise UserError(f"{folder} is damaged: its files disagree in length; delete it and build it again")
        if self._bounds[-1] != len(self._tokens):
            raise UserError(f"{folder / 'tokens.bin'} is damaged: wrong size; delete {folder} and build it again")

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the store in ``folder``; UserError when it holds none or its files do not fit together."""
        try:
            return cls(folder)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UserError(f"{folder} is a damaged token store ({error}); delete it and build it again") from None

    def __reduce__(self) -> tuple[type["TokenStore"], tuple[Path]]:
        # A spawned worker maps the files again instead of receiving their content.
        return TokenStore, (self.folder,)

    def __len__(self) -> int:
        return len(self.lengths)

    def title(self, index: int) -> npt.NDArray[np.int32] | None:
        """Return the pieces of a title, int32 (m,); None when the collection has no titles."""
        return self._part(2 * self._checked(index)) if self.has_titles else None

    def text(self, index: int) -> npt.NDArray[np.int32]:
        """Return the pieces of a text, int32 (m,)."""
        index = self._checked(index)
        return self._part(2 * index + 1 if self.has_titles else index)

    def blocks(self, parts: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        """Yield all pieces in order, ``parts`` titles and texts at a time: end to end, and the length of each."""
        for first in range(0, len(self._bounds) - 1, parts):
            bounds = np.asarray(self._bounds[first : first + parts + 1])
            yield self._tokens[bounds[0] : bounds[-1]], np.diff(bounds)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} outside the {len(self)} rows of {self.folder}")
        return index

    def _part(self, number: int) -> npt.NDArray[np.int32]:
        return self._tokens[self._bounds[number] : self._bounds[number + 1]].astype(np.int32)


class _Writer:
    """Appends batches of pieces to a store's files."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = dtype
        self.ids = IdTableWriter(folder)
        self._tokens: BinaryIO = (folder / "tokens.bin").open("wb")
        self._bounds: BinaryIO = (folder / "bounds.bin").open("wb")
        self._lengths: BinaryIO = (folder / "lengths.bin").open("wb")
        self._bounds.write(np.int64(0).tobytes())
        self.rows = 0
        self.tokens = 0

    def append(self, ids: list[str], parts: list[list[int]]) -> None:
        """Append rows; ``parts`` holds one list of pieces a row, or two (title, text) a row in turn."""
        sizes = np.fromiter((len(part) for part in parts), dtype=np.int64, count=len(parts))
        flat = np.fromiter((piece for part in parts for piece in part), dtype=self.dtype, count=int(sizes.sum()))
        self._tokens.write(flat.tobytes())
        self._bounds.write((self.tokens + np.cumsum(sizes)).tobytes())
        self._lengths.write(sizes.reshape(len(ids), -1).sum(axis=1).astype(np.int32).tobytes())
        self.ids.extend(ids)
        self.rows += len(ids)
        self.tokens += len(flat)

    def close(self) -> None:
        for file in (self._tokens, self._bounds, self._lengths):
            file.close()
        self.ids.abandon()


def _batches(rows: Iterable[tuple[str, str, str]]) -> Iterator[list[tuple[str, str, str]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def build_token_store(
    rows: Iterable[tuple[str, str, str]],
    tokenizer: "PreTrainedTokenizerFast",
    folder: Path,
    has_titles: bool,
    total: int | None = None,
) -> TokenStore:
    """Tokenise rows into a store and open it.

    The store is built in a temporary folder and renamed: a killed build leaves nothing half. Memory holds 1,024 rows, 8
    bytes a row for the id table, and 32 at the end.

    Args:
        rows: (id, title, text), read once.
        tokenizer: What cuts texts into pieces.
        folder: Where the store goes.
        has_titles: Whether titles are kept.
        total: The number of rows, where it is known: the end of the progress bar.

    Raises:
        UserError: An id comes twice, or the folder holds something else.
    """
    pieces_of = PieceMaker(tokenizer, MAX_PIECES)
    dtype = np.dtype(np.uint16 if len(tokenizer) < 2**16 else np.int32)
    with atomic_folder(folder, MARKER) as partial:
        writer = _Writer(partial, dtype)
        try:
            with Bar(total=total, unit=" rows", desc=f"tokenise {folder.name}", disable=None) as bar:
                for batch in _batches(rows):
                    texts = [part for _, *parts in batch for part in parts[0 if has_titles else 1 :]]
                    writer.append([id for id, _, _ in batch], pieces_of(texts))
                    bar.update(len(batch))
        finally:
            writer.close()
        writer.ids.close()
        _write_marker(partial, writer, has_titles)
    return TokenStore.open(folder)


def _write_marker(folder: Path, writer: _Writer, has_titles: bool) -> None:
    meta: dict[str, Any] = {
        "format": KIND,
        "rows": writer.rows,
        "tokens": writer.tokens,
        "dtype": np.dtype(writer.dtype).name,
        "has_titles": has_titles,
        "max_pieces": MAX_PIECES,
    }
    (folder / MARKER).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
