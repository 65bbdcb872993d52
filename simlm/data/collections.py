"""The door to collections: open one by name, check it, describe it."""

from simlm.data import insuranceqa
from simlm.data.checks import validate
from simlm.data.overlaps import statistics
from simlm.data.source import Collection, Passage, Query
from simlm.errors import UserError

__all__ = ["Collection", "Passage", "Query", "open_collection", "statistics", "validate"]


def open_collection(name: str) -> Collection:
    """The collection of that name, its parts registered with ir_datasets; UserError for an unknown name."""
    if name not in insuranceqa.NAMES:
        raise UserError(f"unknown collection {name!r}: choose one of {', '.join(insuranceqa.NAMES)}")
    insuranceqa.register()
    return insuranceqa.collection(name)
