"""How long an encoding took, and how large what it left is."""

import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import TypeVar

from simlm.distributed import wait_for_all

Vectors = TypeVar("Vectors", bound=Sized)
"""As many as there are texts."""


def timed(encode: Callable[[Path], Vectors], folder: Path) -> tuple[Vectors, dict[str, float]]:
    """What ``encode`` gives of the texts that it encodes into ``folder``, and its figures.

    ``index_bytes`` are all files that lie there then. ``encode_seconds`` and ``passages_per_second`` are left out where
    it may have gone on with what an interrupted attempt had encoded, since it took only the rest of the time then.
    """
    goes_on = any(folder.glob("[!.]*"))  # what begins with a dot is not whole
    wait_for_all()  # until every process has looked
    start = time.perf_counter()
    vectors = encode(folder)
    seconds = time.perf_counter() - start
    figures: dict[str, float] = {
        "index_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    }
    if not goes_on:
        figures |= {"encode_seconds": seconds, "passages_per_second": len(vectors) / seconds}
    return vectors, figures
