"""Damaged text files are named with the line behind the last good one, which a plain decompressor says here."""

import gzip
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from simlm.data.readers import File, members, read_lines
from simlm.errors import UserError

RANDOM = random.Random(0)
LINES = [RANDOM.randbytes(RANDOM.randrange(20, 200)).hex() for _ in range(20_000)]
WHOLE = gzip.compress("".join(f"{line}\n" for line in LINES).encode(), mtime=0)


def archived(folder: Path, content: bytes) -> File:
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        file.writestr("lines.gz", content)
    return members(folder / "a.zip", ["lines.gz"])["lines.gz"]


def plain(folder: Path, content: bytes) -> File:
    (folder / "lines.gz").write_bytes(content)
    return folder / "lines.gz"


@pytest.mark.parametrize("make", [plain, archived])
@pytest.mark.parametrize("left", [0.0001, 0.2, 0.5, 0.9, 1.0])
def test_a_truncated_file_gives_what_it_has_and_names_the_next_line(
    left: float, make: Callable[[Path, bytes], File], tmp_path: Path
) -> None:
    content = WHOLE[: int(left * (len(WHOLE) - 4))]
    good = zlib.decompressobj(31).decompress(content).count(b"\n")
    path = make(tmp_path, content)
    found: list[tuple[int, str]] = []
    with pytest.raises(UserError) as caught:
        for line in read_lines(path):
            found.append(line)
    assert str(caught.value) == f"{path}:{good + 1}: the file is truncated or damaged from here on; fetch it again"
    assert found == list(enumerate(LINES[:good], start=1)) and (good > 1_000 or left < 0.1)


def test_a_whole_file_is_read_whole(tmp_path: Path) -> None:
    assert list(read_lines(plain(tmp_path, WHOLE))) == list(enumerate(LINES, start=1))
    assert [line for _, line in read_lines(plain(tmp_path, WHOLE + WHOLE))] == LINES + LINES, "two members"
