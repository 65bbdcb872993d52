"""Files of a collection, plain, gzipped or inside a zip archive, read a line at a time.

Nothing is unpacked to disk. Whatever is wrong with a file is a UserError that names the file and, where there is one,
the line.
"""

import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Protocol, cast

from simlm.errors import UserError

LONGEST_LINE = 64 << 20
"""Bytes. A longer line is no row of a collection, and reading it whole would fill the memory."""
LARGEST = 64 << 30
"""Bytes that a packed file may unpack to: several times the largest that was released with SimLM."""
RATIO = 200
"""How many times its packed size a file in an archive may have. Passages and lists of ids are packed to a third or a
tenth."""


class File(Protocol):
    """What can be opened and named: a path, or a `Member` of an archive."""

    @property
    def suffix(self) -> str: ...
    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


def read_bytes(path: File) -> Iterator[bytes]:
    """Yield a file's bytes, a block at a time; UserError where it cannot be read to its end."""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
    except (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise UserError(f"{path}: the file is truncated or damaged ({error}); fetch it again") from None


def digest_of(path: File) -> str:
    """Return the sha256 of a file's bytes, unpacked where it lies in an archive; UserError as for `read_bytes`."""
    whole = hashlib.sha256()
    for block in read_bytes(path):
        whole.update(block)
    return whole.hexdigest()


def read_lines(path: File) -> Iterator[tuple[int, str]]:
    """Yield the lines (number from 1, text without its end) of a UTF-8 file, gzipped where its name ends in .gz.

    Of a truncated file every whole line comes before the error.

    Raises:
        UserError: The file is missing or truncated, a line is not UTF-8, or has no end in sight.
    """
    number = size = 0
    try:
        with path.open("rb") as raw, _plain(raw, path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                size += len(line)
                if size > LARGEST and path.suffix == ".gz":
                    raise UserError(f"{path}:{number}: unpacks to more than {LARGEST:,} bytes; unpack it by hand")
                if len(line) > LONGEST_LINE:
                    raise UserError(f"{path}:{number}: this line is longer than {LONGEST_LINE:,} bytes; mend the file")
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
    return cast(BinaryIO, io.BufferedReader(_Gunzipped(raw), buffer_size=1 << 20))


class _Gunzipped(io.RawIOBase):
    """A gzipped file's bytes as far as they go: where some lack, gzip itself gives none of a larger block."""

    def __init__(self, raw: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        return self._file.readinto1(buffer)


def read_columns(path: File, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line, which tabs separate, with its number; UserError for another number of fields."""
    for number, line in read_lines(path):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise UserError(
                f"{path}:{number}: {len(fields)} columns where {len(names)}, separated by tabs, must be: "
                f"{', '.join(names)}; mend this line"
            )
        yield number, fields


def whole_number(text: str) -> int:
    """Return the number that ASCII digits spell; ValueError for what else ``int`` takes, such as 1_0."""
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def read_objects(path: File) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a file, one a line, with their line numbers; UserError for a line that holds none."""
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
    """Return a field of the row on line ``number``; UserError where it is missing or no string."""
    if name not in row:
        raise UserError(f'{path}:{number}: this line lacks "{name}"; add it')
    value = row[name]
    if not isinstance(value, str):
        raise UserError(f'{path}:{number}: "{name}" is no string; put it in quotation marks')
    return value


def id_of(path: File, number: int, row: dict[str, Any], name: str) -> str:
    """Return an id, which some write as a number; UserError where it is missing, empty or something else."""
    value = row.get(name)
    id = str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(path, number, row, name)
    if not id.strip():
        raise UserError(f'{path}:{number}: "{name}" is empty; give this line an id')
    return id


@dataclass(frozen=True)
class Member:
    """A file in a zip archive, to be read like a path."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """Open the unpacked bytes, streamed and checked against the archive's checksum at the end.

        Never more of them than the archive declares, which `members` has compared with what it holds.
        """
        archive = zipfile.ZipFile(self.archive)
        try:
            return cast(BinaryIO, io.BufferedReader(_ClosingMember(archive, self.name), buffer_size=1 << 20))
        except BaseException:
            archive.close()
            raise


class _ClosingMember(io.RawIOBase):
    """A member that closes its archive together with itself."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._member = archive.open(name)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._member.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._member.close()
            self._archive.close()
        super().close()


def members(archive: Path, wanted: Collection[str]) -> dict[str, Member]:
    """Return the files of an archive that are wanted, by their last name, wherever in it they lie.

    Raises:
        UserError: It is no archive or a damaged one; a name leads out of it or is none; two files have one name that is
            wanted; a file is encrypted, larger than ``LARGEST`` or more than ``RATIO`` times its packed size.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.filename.endswith("/")]
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise UserError(f"{archive}: no zip archive, or a damaged one ({error}); fetch it again") from None
    found: dict[str, Member] = {}
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise UserError(
                f"{archive}: {info.filename!r} leads out of the archive or names no file: it is not what was released"
            )
        if info.flag_bits & 1:
            raise UserError(f"{archive}: {info.filename!r} is encrypted: it is not what was released")
        if info.file_size > LARGEST or info.file_size > RATIO * max(info.compress_size, 1024):
            raise UserError(
                f"{archive}: {info.filename!r} would unpack from {info.compress_size:,} to {info.file_size:,} bytes, "
                "more than any released file: it is not what was released"
            )
        if path.name not in wanted:
            continue
        if path.name in found:
            raise UserError(f"{archive}: there are two files {path.name!r} in it: it is not what was released")
        found[path.name] = Member(archive, info.filename)
    return found
