"""The door to collections: open one by name, check it, describe it."""

from pathlib import Path

from simlm.data import insuranceqa
from simlm.data.checks import validate
from simlm.data.official import official_collection
from simlm.data.overlaps import statistics
from simlm.data.own import own_collection
from simlm.data.public import public_collection
from simlm.data.reference import IRDS, LAYOUTS, OFFICIAL, resolve
from simlm.data.source import Collection, Passage, Query
from simlm.errors import UserError

__all__ = ["Collection", "Passage", "Query", "open_collection", "statistics", "validate"]


def open_collection(name: str, location: str = "", digest: str = "") -> Collection:
    """The collection of that name, its parts registered with ir_datasets; UserError for an unknown name.

    ``name`` is also what a reader writes for a collection of their own (`simlm.data.reference.resolve`), or the
    ``collection`` of what that gives, together with its ``location`` and ``digest``.
    """
    if name in insuranceqa.NAMES:
        insuranceqa.register()
        return insuranceqa.collection(name)
    if name in LAYOUTS and location:
        return own_collection(name, location, digest)
    if name in OFFICIAL:
        return official_collection(name, location, digest)
    if name.startswith(IRDS):
        return public_collection(name)
    if not Path(name).is_dir():
        raise UserError(
            f"unknown collection {name!r}: choose one of {', '.join((*insuranceqa.NAMES, *OFFICIAL))}, a folder in "
            f"BEIR's layout, or {IRDS}ID for a data set of ir_datasets"
        )
    found = resolve(name)
    return own_collection(found.collection, found.location, found.digest)
