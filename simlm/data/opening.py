"""Open a collection; its parts are registered with ir_datasets.

Importing this module imports ir_datasets, which makes folders below HOME: a command has its options checked first.
"""

from functools import cache
from importlib import import_module
from pathlib import Path

from simlm.data.catalogue import CATALOGUE, IRDS, BuiltIn, find
from simlm.data.collection import Collection
from simlm.data.downloads import HubArchive
from simlm.data.irds import collection_of_layout
from simlm.data.irds_collection import built_in_collection, irds_collection
from simlm.data.lookup import LAYOUTS, resolve
from simlm.errors import UserError


def open_collection(name: str, location: str = "", digest: str = "") -> Collection:
    """Open a collection.

    Args:
        name: What a reader writes for it (`simlm.data.lookup.resolve`), or the ``collection`` of a `Reference`.
        location: That of a `Reference`.
        digest: That of a `Reference`; "" for whatever the files' digest is.

    Raises:
        UserError: There is no such collection, it cannot be fetched, or its files are others by now.
    """
    if (built_in := find(name)) is not None:
        return _built_in(built_in, name, location, digest)
    if name in LAYOUTS and location:
        return _in_folder(name, location, digest)
    if name.startswith(IRDS):
        return irds_collection(name)
    if not Path(name).is_dir():
        raise UserError(
            f"unknown collection {name!r}: choose one of {', '.join(CATALOGUE)}, a folder in BEIR's layout, or "
            f"{IRDS}ID for a data set of ir_datasets"
        )
    found = resolve(name)
    return _in_folder(found.collection, found.location, found.digest)


def _built_in(known: BuiltIn, name: str, location: str, digest: str) -> Collection:
    if known.opener:
        module, _, function = known.opener.partition(":")
        opened: Collection = getattr(import_module(module), function)(name, location, digest)
        return opened
    if known.irds_ids:
        return built_in_collection(known)
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
    layout = LAYOUTS[kind](Path(location))
    found = layout.digest()
    if digest not in ("", found):
        raise UserError(f"{location}: its files changed since this command began; run it again")
    return collection_of_layout(layout, f"{kind.replace(' ', '-')}-{found[:16]}", layout.name)
