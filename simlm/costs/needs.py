"""What stages need together in words, and what of it does not fit."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from simlm.costs.work import Work, total
from simlm.errors import UserError

GPU_BYTES = 80e9
"""An H100's memory, which is assumed where there is no GPU to ask."""


def described(needs: Work) -> str:
    """Return in words what stages need together."""
    said = f"{needs.all_flop / 1e15:,.4g} PFLOP; {size(disk_bytes(needs))} of disk"
    if download := sum(needs.downloads.values()):
        said += f", and {size(download)} to download into caches below HOME"
    if needs.unknown:
        said += f"; without {needs.unknown} stages of which nothing is known until collections and models are there"
    return said


def disk_bytes(needs: Work) -> float:
    """Return what stages take on disk at most, while the last of them runs."""
    return needs.disk_bytes + needs.passing_bytes


def size(count: float) -> str:
    """Return bytes in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def free_bytes(folder: Path) -> int:
    """Return what is free on the file system of a folder, which need not exist yet."""
    whole = folder.absolute()
    return shutil.disk_usage(next(one for one in (whole, *whole.parents) if one.exists())).free


def check_disk(needs: Work, results: Path) -> None:
    """Raise UserError for stages that would fill the disk before they are done."""
    free, needed = free_bytes(results), disk_bytes(needs)
    if needed > free:
        raise UserError(
            f"--results {results}: the stages to do need {size(needed)}, {size(free)} are free; free some "
            "space, choose another folder, or ask for fewer rows at a time (--rows), whose folders can be moved away"
        )


def misfits(works: Mapping[str, Work], results: Path, gpu_bytes: float) -> list[str]:
    """Return what does not fit, by the stages' names, and how to make it fit; [] when all does."""
    try:
        check_disk(total(works.values()), results)
    except UserError as error:
        return [f"does not fit: {error}", *in_parts(works, gpu_bytes)]
    return in_parts(works, gpu_bytes)


def in_parts(works: Mapping[str, Work], gpu_bytes: float) -> list[str]:
    """Return which stages cannot have their whole batch in a GPU's memory at once, in one line; [] when all can."""
    large = [
        f"{name} ({size(work.gpu_bytes)}, of which {size(work.weights_bytes)} are no batch)"
        for name, work in works.items()
        if work.gpu_bytes > gpu_bytes
    ]
    if not large:
        return []
    return [
        f"not the whole batch at once in {size(gpu_bytes)} of GPU memory: {', '.join(large)}; batches go in parts, "
        "what is no batch has to fit"
    ]
