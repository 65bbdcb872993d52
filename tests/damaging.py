"""Ways in which a disk loses a file."""

from pathlib import Path


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    """As a power failure does."""
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def flip(path: Path, place: int | None = None) -> None:
    """Change a bit of a byte, by default of the middle one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(bytes(content))
