"""Markdown as GitHub reads it: escaped text, well-formed tables, numbers for people."""

import re
from collections.abc import Sequence

from simlm.paths import CONTROL

NONE = "–"
"""An empty cell."""

_SPECIAL = re.compile(r"([\\`*_\[\]~|])")
_LEADING = re.compile(r"^(\s*)([#>+-]|\d+[.)])(?=\s|$)")


def escape(text: str) -> str:
    """Return text as one line that GitHub shows as it is: no markup, HTML, table bar or formula."""
    line = " ".join(CONTROL.sub(" ", text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    line = line.replace("$", "&#36;")  # GitHub reads what is between two dollar signs as a formula
    return _LEADING.sub(lambda match: f"{match[1]}&#{ord(match[2][0])};{match[2][1:]}", line)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """Return a Markdown table.

    Args:
        header: The cells of the first line. All cells are Markdown already.
        rows: The cells of the other lines.
        align: A letter for each column: l, c or r. By default the first column is aligned left, the others right.

    Raises:
        ValueError: A row has more or fewer cells than the header, or a cell has a bare bar or a line break.
    """
    align = align or "l" + "r" * (len(header) - 1)
    marks = {"l": ":---", "c": ":---:", "r": "---:"}
    for row in (header, align, *rows):
        if len(row) != len(header):
            raise ValueError(f"a table of {len(header)} columns has a row of {len(row)}: {row}")
    for cell in (cell for row in (header, *rows) for cell in row):
        if "\n" in cell or re.search(r"(?<!\\)\|", cell):
            raise ValueError(f"not a table cell: {cell!r}")
    lines = [header, [marks[letter] for letter in align], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), *names[-1:]] if len(names) > 1 else names)


def number(value: float | None, digits: int = 4) -> str:
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 4) -> str:
    return NONE if value is None else f"{value:+.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def probability(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def duration(seconds: float | None) -> str:
    """Return seconds as "0.4 s", "12 s", "3 min 05 s" or "2 h 07 min"."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(bytes_: float | None) -> str:
    """Return bytes in decimal units with three figures: "8.41 MB"."""
    if bytes_ is None:
        return NONE
    units = ["B", "kB", "MB", "GB", "TB"]
    while bytes_ >= 999.5 and len(units) > 1:
        bytes_ /= 1000
        units.pop(0)
    return f"{bytes_:.3g} {units[0]}"
