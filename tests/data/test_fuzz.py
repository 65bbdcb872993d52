"""Whatever happens to the files of a folder of one's own: it is still a collection, or one line says what is wrong."""

import random
from pathlib import Path

import pytest

from simlm.data.checks import validate
from simlm.data.opening import open_collection
from simlm.errors import UserError
from tests.data.beir import write_beir

ODD = [b"\x00", b"\xff", b"\n", b"\r", b"\t", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b'"', b"{", b"\\ud800", b"9" * 30, b" "]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one thing flipped, cut off, left out, put in, doubled, or in another order."""
    at, to = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    lines = content.splitlines(keepends=True)
    line = rng.randrange(len(lines)) if lines else 0
    flipped = bytearray(content)
    if content:
        flipped[at % len(content)] ^= 1 << rng.randrange(8)
    return rng.choice(
        [
            bytes(flipped),
            content[:at],
            content[:at] + content[to:],
            content[:at] + rng.choice(ODD) + content[at:],
            b"".join([*lines[:line], *lines[line : line + 1] * 2, *lines[line + 1 :]]),
            b"".join(rng.sample(lines, len(lines))),
        ]
    )


@pytest.mark.parametrize("tries", [300, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_damaged_folder_is_a_collection_or_one_line(tries: int, tmp_path: Path) -> None:
    rng = random.Random(tries)
    whole = write_beir(tmp_path / "mine")
    contents = {path: path.read_bytes() for path in sorted(whole.rglob("*.*")) if path.is_file()}
    refused = 0
    for _ in range(tries):
        for path in rng.sample(sorted(contents), rng.choice([1, 1, 2])):
            path.write_bytes(damaged(contents[path], rng))
        try:
            validate(open_collection(str(whole)))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and "mine" in str(error), error
        for path, content in contents.items():
            path.write_bytes(content)
    assert tries / 4 < refused < tries, "damage is found, and there is some that does no harm"
