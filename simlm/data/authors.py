"""The runs that came with the released archive: what SimLM's authors retrieved with BM25."""

from pathlib import Path

from simlm.data.archives import members
from simlm.data.lines import File
from simlm.data.released import ARCHIVE, OF_SPLIT


def authors_run(folder: Path, split: str) -> File | None:
    """The authors' BM25 run of a split, in the folder of the released archive, packed or not; None without one."""
    name = f"{OF_SPLIT[split]}.msmarco.txt"
    for place in (folder, folder / ARCHIVE):
        if (place / name).is_file():
            return place / name
    archive = folder / f"{ARCHIVE}.zip"
    return members(archive, (name,)).get(name) if archive.is_file() else None
