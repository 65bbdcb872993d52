"""Find a collection: by what a reader writes for it, or by what a stage's configuration holds.

No rows are read here, but for a file of test questions, whose lines are all checked. What imports ir_datasets is
imported when a collection is opened, because that makes folders below HOME: a command has its options checked first.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from simlm.data.beir import BeirFolder, is_beir
from simlm.data.catalogue import CATALOGUE, IRDS, BuiltIn, extra_splits, fetched, find
from simlm.data.collection import Collection, Layout
from simlm.data.downloads import HubArchive
from simlm.data.dpr_questions import NO_FILE, read_questions
from simlm.data.readers import digest_of
from simlm.data.released_archive import ReleasedArchive, is_released
from simlm.errors import UserError

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
    """Return the collection that a reader names: a folder, ``irds:ID``, or a built-in one that is fetched.

    Reads every file of a folder, for its digest, once a process: a command sees one state of it.

    Raises:
        UserError: There is no such collection, or it lacks a file.
    """
    if text.startswith(IRDS):
        from simlm.data.irds_collection import check_irds

        return Reference(check_irds(text), text)
    name, _, file = text.partition(":")
    built_in = fetched(name)
    if built_in is not None and (built_in.question_file or text == name):
        return _built_in(built_in, file)
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(
            f"--collection {text}: there is no such folder; give a folder in BEIR's layout, {IRDS}ID for a data set "
            f"of ir_datasets, or one of {', '.join(name for name in CATALOGUE if fetched(name))}"
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


def _built_in(known: BuiltIn, file: str) -> Reference:
    location = digest = ""
    if known.question_file:
        path = Path(file).expanduser().absolute()
        if not file or not path.is_file():
            raise UserError(
                NO_FILE if not file else f"--collection {known.name}:{file}: there is no such file; give one"
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


def open_collection(name: str, location: str = "", digest: str = "") -> Collection:
    """Open a collection; its parts are registered with ir_datasets.

    Args:
        name: What a reader writes for it (`resolve`), or the ``collection`` of a `Reference`.
        location: That of a `Reference`.
        digest: That of a `Reference`; "" for whatever the files' digest is.

    Raises:
        UserError: There is no such collection, it cannot be fetched, or its files are others by now.
    """
    if (built_in := find(name)) is not None:
        return _opened(built_in, name, location, digest)
    if name in LAYOUTS and location:
        return _in_folder(name, location, digest)
    if name.startswith(IRDS):
        from simlm.data.irds_collection import irds_collection

        return irds_collection(name)
    if not Path(name).is_dir():
        raise UserError(
            f"unknown collection {name!r}: choose one of {', '.join(CATALOGUE)}, a folder in BEIR's layout, or "
            f"{IRDS}ID for a data set of ir_datasets"
        )
    found = resolve(name)
    return _in_folder(found.collection, found.location, found.digest)


def _opened(known: BuiltIn, name: str, location: str, digest: str) -> Collection:
    if known.opener:
        module, _, function = known.opener.partition(":")
        opened: Collection = getattr(import_module(module), function)(name, location, digest)
        return opened
    if known.irds_ids:
        from simlm.data.irds_collection import built_in_collection

        return built_in_collection(known)
    from simlm.data.irds import collection_of_layout

    assert isinstance(known.download, HubArchive)
    layout = LAYOUTS[known.layout](known.download.fetch(name))
    lacking = [split for split in known.extra_test_splits if split not in layout.splits]
    if lacking:
        raise UserError(
            f"{layout.folder}: {known.download.file} has no queries of {lacking[0]}; it is not what was released"
        )
    return collection_of_layout(layout, f"simlm-{name}", name)


@cache
def _in_folder(kind: str, location: str, digest: str) -> Collection:
    """Open a folder once a process: hashing its files takes seconds where they are large."""
    from simlm.data.irds import collection_of_layout

    layout = LAYOUTS[kind](Path(location))
    found = layout.digest() if digest else ""
    if found != digest:
        raise UserError(f"{location}: its files changed since this command began; run it again")
    return collection_of_layout(layout, f"{kind.replace(' ', '-')}-{(digest or layout.digest())[:16]}", layout.name)
