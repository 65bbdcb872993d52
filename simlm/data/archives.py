"""Files inside zip archives, read where they are: nothing is unpacked, so nothing can be written to another place."""

import io
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, cast

from simlm.errors import UserError

LARGEST = 64 << 30
"""Bytes of a file in an archive: several times the largest of the released ones."""
RATIO = 200
"""How many times its packed size a file may have. Passages and lists of ids are packed to a third or a tenth."""


@dataclass(frozen=True)
class Member:
    """A file in an archive, with what `simlm.data.lines` needs of a path."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """The unpacked bytes, streamed and checked against the archive's checksum at the end.

        Never more of them than the archive declares, which `members` has compared with what it holds.
        """
        archive = zipfile.ZipFile(self.archive)
        try:
            return cast(BinaryIO, io.BufferedReader(_Closing(archive, self.name), buffer_size=1 << 20))
        except BaseException:
            archive.close()
            raise


class _Closing(io.RawIOBase):
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
    """The files of an archive that are wanted, by their last name, wherever in it they lie.

    UserError for what is no archive or a damaged one, a name that leads out of it or is none, two files of one name
    that is wanted, a file that is encrypted, larger than ``LARGEST`` or more than ``RATIO`` times its packed size.
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
