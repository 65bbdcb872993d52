"""What stages need together, what of it does not fit, and how to make it fit."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simlm.costs.work import Work
from simlm.errors import UserError

GPU_BYTES = 80e9
"""An H100's, which is assumed where there is no GPU to ask."""


@dataclass(frozen=True)
class Needs:
    """The sums over stages, and the largest of what is needed for a time only."""

    flop: float
    kept_bytes: float
    passing_bytes: float
    download_bytes: float
    unknown: int

    @classmethod
    def of(cls, works: Iterable[Work]) -> "Needs":
        """Those of stages to do."""
        all_of = list(works)
        return cls(
            sum(sum(one.flop.values()) for one in all_of),
            sum(one.kept_bytes for one in all_of),
            max((one.passing_bytes for one in all_of), default=0.0),
            sum({name: size for one in all_of for name, size in one.downloads.items()}.values()),
            sum(not one.known for one in all_of),
        )

    @property
    def disk_bytes(self) -> float:
        """At most, while the last stage runs."""
        return self.kept_bytes + self.passing_bytes

    def __str__(self) -> str:
        said = f"{self.flop / 1e15:,.4g} PFLOP; {size(self.disk_bytes)} of disk"
        if self.download_bytes:
            said += f", and {size(self.download_bytes)} to download into caches below HOME"
        if self.unknown:
            said += f"; without {self.unknown} stages of which nothing is known until collections and models are there"
        return said


def size(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def free_bytes(folder: Path) -> int:
    """Of the file system of a folder that may be yet to make."""
    whole = folder.absolute()
    return shutil.disk_usage(next(one for one in (whole, *whole.parents) if one.exists())).free


def check_disk(needs: Needs, results: Path) -> None:
    """UserError for stages that would fill the disk before they are done."""
    free = free_bytes(results)
    if needs.disk_bytes > free:
        raise UserError(
            f"--results {results}: the stages to do need {size(needs.disk_bytes)}, {size(free)} are free; free some "
            "space, choose another folder, or ask for fewer rows at a time (--rows), whose folders can be moved away"
        )


def misfits(works: Mapping[str, Work], results: Path, gpu_bytes: float) -> list[str]:
    """What does not fit, by the stages' names, and how to make it fit; [] when all does."""
    found = []
    try:
        check_disk(Needs.of(works.values()), results)
    except UserError as error:
        found.append(f"does not fit: {error}")
    parted: dict[int | None, list[str]] = {}
    for name, work in works.items():
        if work.memory is not None and work.memory.total > gpu_bytes:
            parted.setdefault(work.memory.parts(gpu_bytes), []).append(f"{name} ({size(work.memory.total)})")
    for parts, names in parted.items():
        mend = f"in {parts} parts they fit, one after the other or on as many GPUs" if parts else "take a larger GPU"
        found.append(f"not the whole batch at once in {size(gpu_bytes)} of GPU memory: {', '.join(names)}; {mend}")
    return found
