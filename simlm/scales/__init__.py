"""Scales: which collection, which model size, which hyper-parameters."""

from dataclasses import replace

from simlm.data.catalogue import NQ
from simlm.data.lookup import refuse_two_meanings, resolve
from simlm.errors import UserError
from simlm.scales.mini import mini
from simlm.scales.minilm import MINILM, on_this_machine
from simlm.scales.paper import paper
from simlm.scales.paper_nq import natural_questions
from simlm.scales.scale import PRECISIONS, Scale
from simlm.scales.small import small
from simlm.scales.smoke import smoke

_SCALES = {"smoke": smoke, "mini": mini, "small": small, "paper": paper}

NAMES = tuple(_SCALES)


def open_scale(name: str, collection: str = "") -> Scale:
    """Return the scale of a name, with new objects as settings; UserError for an unknown one.

    With ``collection``, as a reader writes it, the scale has its settings on that collection instead of its own. What a
    re-ranker starts from depends on what this machine has (`simlm.scales.minilm`).
    """
    if name not in _SCALES:
        raise UserError(f"unknown scale {name!r}: choose one of {', '.join(NAMES)}")
    scale = on_this_machine(_SCALES[name]())
    if not collection:
        return scale
    found = resolve(collection)
    return on_collection(scale, found.collection, found.location, found.digest, found.extra_test_splits)


def lacks_minilm(scale: Scale) -> bool:
    """Tell whether a scale's re-ranker starts from another model because all-MiniLM-L6-v2 is not on this machine."""
    return _SCALES[scale.name]().reranker_start == MINILM != scale.reranker_start


def other_collection(scale: str, collection: str) -> str:
    """Return the collection that a reader names in place of a scale's own, "" where that is the same one.

    UserError for a name that is also a folder's.
    """
    refuse_two_meanings(collection)
    return "" if scale in _SCALES and _SCALES[scale]().collection == collection else collection


def on_collection(
    scale: Scale, collection: str, location: str = "", digest: str = "", extra_test_splits: tuple[str, ...] = ()
) -> Scale:
    """Return a scale's settings on another collection (`simlm.data.lookup.Reference`); paper has own ones for NQ."""
    found = replace(scale, collection=collection, location=location, digest=digest, extra_test_splits=extra_test_splits)
    return natural_questions(found) if (scale.name, collection) == ("paper", NQ.name) else found


__all__ = ["NAMES", "PRECISIONS", "Scale", "lacks_minilm", "on_collection", "open_scale", "other_collection"]
