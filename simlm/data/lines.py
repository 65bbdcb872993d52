"""Lines of a text file, plain or gzipped, one at a time, each with its number; damage is said with file and line."""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, Protocol, cast

from simlm.errors import UserError

LONGEST = 64 << 20
"""Bytes of a line. A longer one is no row of a collection, and reading it whole would fill the memory."""

UNPACKED = 64 << 30
"""Bytes that a gzipped file may hold: several times the largest that was released with SimLM."""


class File(Protocol):
    """What can be opened and named: a path, or a file inside an archive (`simlm.data.archives`)."""

    @property
    def suffix(self) -> str: ...
    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


def read_bytes(path: File) -> Iterator[bytes]:
    """A file's bytes, a block at a time; UserError where it cannot be read to its end."""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
    except (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise UserError(f"{path}: the file is truncated or damaged ({error}); fetch it again") from None


def read_lines(path: File) -> Iterator[tuple[int, str]]:
    """The lines (number from 1, text without its end) of a UTF-8 file, gzipped where its name ends in .gz.

    Streams. UserError, with the number, for a missing or truncated file, invalid UTF-8, and a line without an end in
    sight; of a truncated one every whole line comes first.
    """
    number = size = 0
    try:
        with path.open("rb") as raw, _plain(raw, path) as file:
            while line := file.readline(LONGEST + 1):
                number += 1
                size += len(line)
                if size > UNPACKED and path.suffix == ".gz":
                    raise UserError(f"{path}:{number}: unpacks to more than {UNPACKED:,} bytes; unpack it by hand")
                if len(line) > LONGEST:
                    raise UserError(f"{path}:{number}: this line is longer than {LONGEST:,} bytes; mend the file")
                text = line.decode("utf-8").rstrip("\r\n")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError:
        raise UserError(f"{path}:{number}: this line is not UTF-8; save the file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError):
        raise UserError(f"{path}:{number + 1}: the file is truncated or damaged from here on; fetch it again") from (
            None
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); mend that and run again") from None


def _plain(raw: BinaryIO, path: File) -> BinaryIO:
    if path.suffix != ".gz":
        return raw
    return cast(BinaryIO, io.BufferedReader(_Unpacked(raw), buffer_size=1 << 20))


class _Unpacked(io.RawIOBase):
    """A gzipped file's bytes as far as they go: asked for many at once, gzip gives none of them where some lack."""

    def __init__(self, raw: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        return self._file.readinto1(buffer)


def read_objects(path: File) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line, with their line numbers; UserError names a line that holds none."""
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}:{number}: this line is no JSON ({error}); mend or remove it") from None
        except RecursionError:
            raise UserError(f"{path}:{number}: this line is nested too deeply; mend or remove it") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: this line is no JSON object; mend or remove it")
        yield number, row


def text_of(path: File, number: int, row: dict[str, Any], name: str) -> str:
    """A field of a row that has to be there; UserError where it is missing or no string."""
    if name not in row:
        raise UserError(f'{path}:{number}: this line lacks "{name}"; add it')
    value = row[name]
    if not isinstance(value, str):
        raise UserError(f'{path}:{number}: "{name}" is no string; put it in quotation marks')
    return value


def id_of(path: File, number: int, row: dict[str, Any], name: str) -> str:
    """An id, which some write as a number; UserError where it is missing, empty or something else."""
    value = row.get(name)
    id = str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(path, number, row, name)
    if not id.strip():
        raise UserError(f'{path}:{number}: "{name}" is empty; give this line an id')
    return id
