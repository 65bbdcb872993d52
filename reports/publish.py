"""Copies a generated report to where the repository keeps them: reports/<scale>/."""

from pathlib import Path

from simlm.errors import UserError
from simlm.files import write_atomically

ROOT = Path(__file__).parent
_SUFFIXES = (".md", ".json", ".svg")


def publish(folder: Path, name: str, scale: str, root: Path = ROOT) -> list[Path]:
    """Copies the report called `name` (page, twin, plots; no runs, no other report) to `root`/`scale`/.

    Plots of an earlier report of that name that this one lacks are removed. Returns the files written. Raises
    UserError when the folder holds no such report or the target can't be written.
    """
    sources = [path for path in sorted(folder.glob(f"{name}*")) if _belongs(path, name)]
    if not any(path.name == f"{name}.md" for path in sources):
        raise UserError(f"{folder}: there is no report {name}.md to publish; run the table first")
    target = root / scale
    try:
        written = []
        for source in sources:
            write_atomically(target / source.name, source.read_bytes())
            written.append(target / source.name)
        for old in target.glob(f"{name}*"):
            if _belongs(old, name) and old not in written:
                old.unlink()
    except OSError as error:
        raise UserError(f"{target}: can't write the published report: {error.strerror}") from None
    return written


def _belongs(path: Path, name: str) -> bool:
    """Whether a file is part of the report: its page, its twin, or a plot called `name`-something."""
    return path.suffix in _SUFFIXES and (path.stem == name or path.stem.startswith(f"{name}-"))
