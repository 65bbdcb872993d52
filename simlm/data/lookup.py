"""Find the collection that a reader names, and say what a stage's configuration holds of it.

No rows are read here, but for a file of test questions, whose lines are all checked.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simlm.data.beir import BeirFolder, is_beir
from simlm.data.catalogue import CATALOGUE, IRDS, BuiltIn, extra_splits
from simlm.data.collection import Layout
from simlm.data.dpr_questions import NO_FILE, read_questions
from simlm.data.readers import digest_of
from simlm.data.released_archive import ReleasedArchive, is_released
from simlm.errors import UserError
from simlm.paths import instead, whole

LAYOUTS: dict[str, Callable[[Path], Layout]] = {"beir folder": BeirFolder, "released archives": ReleasedArchive}
"""Folders by layout; the key counts in a stage's identity."""


@dataclass(frozen=True)
class Reference:
    """A collection as a stage's configuration holds it.

    ``collection`` and ``digest`` count in a stage's identity, ``location`` does not: a folder that was moved or renamed
    is the same collection, one whose files changed is another.
    """

    name: str
    """For readers."""
    collection: str
    """A built-in collection's name, a layout, or ``irds:ID``."""
    location: str = ""
    digest: str = ""
    passages: int | None = None
    """Their number, where it is known without reading rows."""
    has_negatives: bool = False
    """Whether lists of hard negatives come with it."""
    extra_test_splits: tuple[str, ...] = ()
    """Its test splits beside "test"."""

    @property
    def slug(self) -> str:
        """The name as part of a folder's name, the same for no two collections."""
        mark = self.digest or hashlib.sha256(self.collection.encode()).hexdigest()
        plain = re.sub(r"[^\w.]+", "-", self.name).strip("-.")
        return f"{plain}-{mark[:8]}"


@cache
def resolve(text: str) -> Reference:
    """Return the collection that a reader names: a folder, ``irds:ID``, or a name in ``CATALOGUE``.

    Reads every file of a folder, for its digest, once a process: a command sees one state of it.

    Raises:
        UserError: There is no such collection, or it lacks a file.
    """
    if text.startswith(IRDS):
        from simlm.data.irds_collection import check_irds  # ir_datasets makes folders below HOME

        return Reference(check_irds(text), text)
    name, _, file = text.partition(":")
    built_in = CATALOGUE.get(name)
    if built_in is not None and (built_in.question_file or text == name):
        return _built_in(built_in, file)
    given = Path(os.path.expanduser(text))  # Path's own raises for a user that is none
    found = whole("--collection", given)
    folder = found if given.name == ".." else given.absolute()  # a link's own name is what its reader calls it
    if not folder.is_dir():
        raise UserError(
            f"--collection {text}: {found} {instead(found)}; give a folder in BEIR's layout, {IRDS}ID for a data set "
            f"of ir_datasets, or one of {', '.join(CATALOGUE)}"
        )
    kind = layout_of(folder)
    layout = LAYOUTS[kind](folder)
    return Reference(
        layout.name,
        kind,
        str(folder),
        layout.digest(),
        layout.count(),
        layout.has_negatives,
        extra_splits(layout.splits),
    )


def refuse_two_meanings(text: str) -> None:
    """Raise UserError where a reader's word names a built-in collection, and a folder here that holds a collection."""
    folder = Path(text)
    if text in CATALOGUE and (is_beir(folder) or is_released(folder)):
        built_in = f"{text}:FILE" if CATALOGUE[text].question_file else "or run elsewhere"
        raise UserError(
            f"--collection {text}: there is a built-in collection of this name, and a folder of it here; write "
            f"./{text} for the folder, {built_in} for the built-in one"
        )


def _built_in(known: BuiltIn, file: str) -> Reference:
    location = digest = ""
    if known.question_file:
        path = whole("--collection", Path(os.path.expanduser(file)))
        if not file or not path.is_file():
            raise UserError(
                NO_FILE if not file else f"--collection {known.name}:{file}: {path} {instead(path)}; give a file"
            )
        for _ in read_questions(path):  # so that a mistake in it is told before anything starts
            pass
        location, digest = str(path), digest_of(path)
    extra = tuple(known.extra_test_splits)
    return Reference(
        known.name, known.name, location, digest, has_negatives=known.has_negatives, extra_test_splits=extra
    )


def layout_of(folder: Path) -> str:
    """Return the key in ``LAYOUTS`` of a folder, by what lies in it."""
    own = is_beir(folder) or not is_released(folder)
    return "beir folder" if own else "released archives"
