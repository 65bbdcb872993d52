"""A table of string ids on disk: from index to id and from id to index, both through memory maps."""

import hashlib
import json
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from simlm.errors import UserError


def text_key(text: str) -> int:
    """Return the first 8 bytes of BLAKE2b as an unsigned integer: the key that ids and texts are compared by.

    Lone surrogates are let through, so that a check can reach them and name them.
    """
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


LONGEST_ID = 4096
"""Characters. Lucene takes 32,766 bytes."""


def unfit(id: str) -> str:
    """Return why an id cannot stand in a run file or an index, "" where it can.

    White space ends a field of a run file. Control characters end an id, a line or a file in one tool or another (C's
    strings end at NUL), and a byte order mark is dropped where it begins a file.
    """
    if len(id) > LONGEST_ID:
        return f"is longer than {LONGEST_ID:,} characters"
    if id.isprintable() and " " not in id:  # nearly always, and quick
        return "" if id else "is empty"
    if len(id.split()) != 1 or id != id.strip():
        return "holds white space"
    found = next((one for one in id if unicodedata.category(one) == "Cc" or one == "\ufeff"), None)
    return "" if found is None else f"holds the control character U+{ord(found):04X}"


def mapped(path: Path, dtype: npt.DTypeLike) -> np.ndarray:
    """Map a raw binary file as a read-only array (n,); an empty file is an empty array.

    A plain view on the map: indexing a `np.memmap` itself costs several times as much.
    """
    if path.stat().st_size == 0:
        return np.empty(0, dtype=dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


class IdTable:
    """The ids of a store, memory-mapped: ``table[i]`` is an id, ``table.index(id)`` its index.

    On disk: the ids' UTF-8 bytes end to end, their boundaries as int64 (n + 1), and for the way back the sorted 64-bit
    keys with the index that each belongs to. Ids with the same key are told apart by their bytes.

    Raises:
        OSError, ValueError: A folder lacks these files, or they do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes = mapped(folder / "ids.bin", np.uint8)
        self._bounds = mapped(folder / "id_bounds.bin", np.int64)
        self._digests = np.load(folder / "id_digests.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        self._order = np.load(folder / "id_order.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)

        if not len(self._digests) == len(self._order) == len(self._bounds) - 1:
            raise ValueError("the files of its ids disagree in length")
        if self._bounds[-1] != len(self._bytes):
            raise ValueError("ids.bin has the wrong size")

    def __reduce__(self) -> tuple[type["IdTable"], tuple[Path]]:
        # A spawned worker maps the files again instead of receiving their content.
        return IdTable, (self.folder,)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} outside the {len(self)} ids of {self.folder}")
        return self._encoded(index).decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def _encoded(self, index: int) -> bytes:
        return self._bytes[self._bounds[index] : self._bounds[index + 1]].tobytes()

    def index(self, id: str) -> int:
        """Return the index of an id; KeyError for an unknown one."""
        return int(self.indices([id])[0])

    def indices(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the indices (n,) of ids (n,), repetitions allowed; KeyError names the first unknown one."""
        # Runs and qrels name the same passages over and over: each distinct id is looked up once.
        distinct = {id: number for number, id in enumerate(dict.fromkeys(ids))}
        keys = np.fromiter((text_key(id) for id in distinct), dtype=np.uint64, count=len(distinct))
        starts = np.searchsorted(self._digests, keys)
        found = np.empty(len(distinct), dtype=np.int64)
        for number, (id, start) in enumerate(zip(distinct, starts.tolist(), strict=True)):
            found[number] = self._confirmed(id, keys[number], start)
        return found[np.fromiter((distinct[id] for id in ids), dtype=np.int64, count=len(ids))]

    def _confirmed(self, id: str, key: np.uint64, start: int) -> int:
        data = id.encode("utf-8", "surrogatepass")
        for place in range(start, len(self)):
            if self._digests[place] != key:
                break
            index = int(self._order[place])
            if self._encoded(index) == data:
                return index
        raise KeyError(id)


class IdTableWriter:
    """Write an IdTable's files id by id. Memory holds 8 bytes an id, and 32 while `close` sorts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes: BinaryIO = (folder / "ids.bin").open("wb")
        self._bounds: BinaryIO = (folder / "id_bounds.bin").open("wb")
        self._bounds.write(np.int64(0).tobytes())
        self._position = 0
        self._digests = array("Q")

    def extend(self, ids: Iterable[str]) -> None:
        """Append ids."""
        bounds = array("q")
        for id in ids:
            data = id.encode("utf-8")
            self._bytes.write(data)
            self._position += len(data)
            bounds.append(self._position)
            self._digests.append(text_key(id))
        self._bounds.write(bounds.tobytes())

    def abandon(self) -> None:
        """Close the files of a table that will not be finished."""
        self._bytes.close()
        self._bounds.close()

    def close(self) -> None:
        """Sort the keys and finish the files; UserError for an id that came twice."""
        self.abandon()
        digests = np.frombuffer(self._digests, dtype=np.uint64) if self._digests else np.empty(0, np.uint64)
        order = np.argsort(digests, kind="stable")
        digests = digests[order]
        np.save(self.folder / "id_digests.npy", digests)
        np.save(self.folder / "id_order.npy", order.astype(np.int64))
        self._refuse_duplicates(digests, order)

    def _refuse_duplicates(self, digests: np.ndarray, order: np.ndarray) -> None:
        table = IdTable(self.folder)
        same = np.flatnonzero(digests[1:] == digests[:-1])
        suspects = np.unique(np.concatenate([order[same], order[same + 1]])) if len(same) else same
        seen: set[str] = set()
        for id in (table[int(index)] for index in suspects):
            if id in seen:
                raise UserError(f"id {json.dumps(id)} comes twice: give every passage and query its own id")
            seen.add(id)


def duplicated(keys: "array[int]") -> frozenset[int]:
    """Return the keys that occur more than once; memory holds one sorted copy of them."""
    values = np.sort(np.frombuffer(keys, dtype=np.uint64)) if keys else np.empty(0, np.uint64)
    return frozenset(values[1:][values[1:] == values[:-1]].tolist())


def text_keys(texts: Iterable[str]) -> "array[int]":
    """Return the keys of texts in their order, 8 bytes each."""
    return array("Q", (text_key(text) for text in texts))


def length_prefixed(fields: Iterable[str]) -> bytes:
    """Return fields as bytes that no other fields give: each behind its length."""
    data = [field.encode("utf-8", "surrogatepass") for field in fields]
    return b"".join(chain.from_iterable((len(field).to_bytes(8, "little"), field) for field in data))
