"""What a reader writes for a collection, made into what a stage's configuration holds.

Of rows, nq's questions alone are read.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from simlm.data.beir import BeirFolder, is_beir
from simlm.data.layout import SPLITS, Layout
from simlm.data.questions import NO_FILE, digest_of, read_questions
from simlm.data.released import TREC_DL, Released, is_released
from simlm.errors import UserError

EMBEDDED = "insuranceqa"
"""What the scales' own collections are called, or begin with."""

LAYOUTS: dict[str, Callable[[Path], Layout]] = {"beir folder": BeirFolder, "released archives": Released}
"""Folders by layout; the key counts in a stage's identity."""
IRDS = "irds:"


class Official(NamedTuple):
    """A collection of the paper's, by a name of its own: its test splits beside "test", and what comes with it."""

    further: tuple[str, ...] = ()
    has_negatives: bool = False


OFFICIAL = {
    "msmarco": Official(tuple(TREC_DL), has_negatives=True),
    "msmarco-titleless": Official(tuple(TREC_DL)),
    "nq": Official(has_negatives=True),
}
"""The names under which a scale or a reader asks for them; they are fetched by the stage that tokenises them."""
QUESTIONS = "nq"
"""The one whose test questions are in a file, given behind a colon; they have answers and no qrels."""


@dataclass(frozen=True)
class Reference:
    """A collection as a configuration holds it.

    ``collection`` and ``digest`` count in a stage's identity, ``location`` does not: a folder that was moved or renamed
    is the same collection, one whose files changed is another. ``name`` is for readers, ``passages`` their number where
    it is known without reading rows; ``has_negatives`` is whether lists of hard negatives come with it; ``further`` are
    its test splits beside "test".
    """

    name: str
    collection: str
    location: str = ""
    digest: str = ""
    passages: int | None = None
    has_negatives: bool = False
    further: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as part of a folder's name, the same for no two collections."""
        mark = self.digest or hashlib.sha256(self.collection.encode()).hexdigest()
        plain = re.sub(r"[^\w.]+", "-", self.name).strip("-.")
        return f"{plain}-{mark[:8]}"


@cache
def resolve(text: str) -> Reference:
    """A folder, or ``irds:ID``, as a reader names it; UserError for anything else.

    Reads every file of a folder, for its digest, once a process: a command sees one state of it.
    """
    if text.startswith(IRDS):
        from simlm.data.public import check_public

        return Reference(check_public(text), text)
    if text in OFFICIAL or text.startswith(f"{QUESTIONS}:"):
        return _official(*text.split(":", 1))
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(
            f"--collection {text}: there is no such folder; give a folder in BEIR's layout, {IRDS}ID for a data set "
            f"of ir_datasets, or one of {', '.join(OFFICIAL)}"
        )
    kind = layout_of(folder)
    layout = LAYOUTS[kind](folder)
    digest = layout.digest()
    further = tuple(split for split in layout.splits if split not in SPLITS)
    return Reference(layout.name, kind, str(folder), digest, layout.count(), layout.negatives is not None, further)


def _official(name: str, file: str = "") -> Reference:
    """One of ``OFFICIAL``; of ``QUESTIONS`` the file counts by its digest, and all its lines must be questions."""
    known = OFFICIAL[name]
    if name != QUESTIONS:
        return Reference(name, name, has_negatives=known.has_negatives, further=known.further)
    path = Path(file).expanduser().absolute()
    if not file or not path.is_file():
        raise UserError(NO_FILE if not file else f"--collection {name}:{file}: there is no such file; give one")
    for _ in read_questions(path):
        pass
    return Reference(name, name, str(path), digest_of(path), has_negatives=known.has_negatives)


def layout_of(folder: Path) -> str:
    """The key in ``LAYOUTS`` of a folder, by what lies in it."""
    own = is_beir(folder) or not is_released(folder)
    return "beir folder" if own else "released archives"


def opened(kind: str, location: str, digest: str) -> Layout:
    """The files that a configuration stands for; UserError where they are not those any more."""
    layout = LAYOUTS[kind](Path(location))
    if digest and layout.digest() != digest:
        raise UserError(f"{location}: its files changed since this command began; run it again")
    return layout
