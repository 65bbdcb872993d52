"""Reports as files: written below the results folder, copied to the published ones, and read back."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from reports.model import Report
from reports.page import Page
from reports.render import plots_of, render
from simlm.errors import UserError
from simlm.files import write_together

ROOT = Path(__file__).parent
"""Where the published reports are, a folder for each scale."""
_SUFFIXES = (".md", ".json", ".svg")


def write_report(report: Report | Page, folder: Path, name: str) -> list[Path]:
    """Write a report's page (`name`.md), the same as JSON (`name`.json), and its plots (`name`-bars.svg, ...).

    The same report gives the same bytes.

    Returns:
        The files written, the page first.

    Raises:
        KeyError: A comparison, order, tuning or query example names a row that the report does not have.
    """
    data = json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    images = {}
    if isinstance(report, Report):
        from reports import plots  # brings matplotlib, which no page without plots has to wait for

        images = {f"{name}-{plot}.svg": plots.as_svg(plots.DRAWN[plot](report)) for plot in plots_of(report)}
    contents = {f"{name}.md": render(report, name).encode(), f"{name}.json": data.encode(), **images}
    write_together({folder / file: content for file, content in contents.items()})
    return [folder / file for file in contents]


def publish(folder: Path, name: str, scale: str, root: Path = ROOT) -> list[Path]:
    """Copy the report called `name` (page, JSON, plots) from `folder` to `root`/`scale`, and return the files written.

    Plots of an earlier report of that name that this one lacks are removed.

    Raises:
        UserError: The folder holds no such report, or the target cannot be written.
    """
    sources = [path for path in sorted(folder.glob(f"{name}*")) if _belongs(path, name)]
    if not any(path.name == f"{name}.md" for path in sources):
        raise UserError(f"{folder}: there is no report {name}.md to publish; run the table first")
    target = root / scale
    try:
        written = [target / source.name for source in sources]
        write_together(dict(zip(written, (source.read_bytes() for source in sources), strict=True)))
        for old in target.glob(f"{name}*"):
            if _belongs(old, name) and old not in written:
                old.unlink()
    except OSError as error:
        raise UserError(f"{target}: can't write the published report: {error.strerror}") from None
    return written


def _belongs(path: Path, name: str) -> bool:
    """Return whether a file is part of the report: its page, its JSON, or a plot called `name`-something."""
    return path.suffix in _SUFFIXES and (path.stem == name or path.stem.startswith(f"{name}-"))


def read_report(path: Path) -> Report | Page:
    """Return the report that a JSON file holds; UserError where it holds none.

    A part that reports of an older version do not have gets its default value.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found: Report | Page = _built(Page if "sections" in data else Report, data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: this is no report ({error!r}); delete it or make it again") from None
    return found


def _built(kind: Any, value: Any) -> Any:
    """Return a value from JSON as the type that was written: dataclasses from dicts, tuples from lists."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{one.name: _built(hints[one.name], value[one.name]) for one in fields(kind) if one.name in value})
    if origin is UnionType and isinstance(value, dict):
        return _built(next(one for one in arguments if is_dataclass(one) or get_origin(one) is dict), value)
    if origin is list:
        return [_built(arguments[0], one) for one in value]
    if origin is tuple:
        return tuple(_built(one, part) for one, part in zip(arguments, value, strict=True))
    if origin is dict:
        return {key: _built(arguments[1], one) for key, one in value.items()}
    return value
