"""A mistake in a collection, found by the command itself: a stage would find it when folders were already made."""

from pathlib import Path

from simlm.data.reference import EMBEDDED
from simlm.stages.data import Prepare
from simlm.stages.plan import Build, plan


def check_collections(build: Build, results: Path, fetch: bool = True) -> None:
    """UserError for a collection that ``build`` has still to tokenise and that breaks a rule; nothing is written.

    Without ``fetch`` only those are read that are here: in a folder, or in an installed package.
    """
    # Only these stages are judged: to verify the others takes time, and they are verified later.
    lacking = [stage.config for stage in plan(build, results, Prepare)[0] if not stage.valid]
    here = [one for one in lacking if isinstance(one, Prepare) and (fetch or _is_here(one))]
    for config in {(one.collection, one.location): one for one in here}.values():
        # Not before there is one to read: importing ir_datasets makes folders below HOME.
        from simlm.data.collections import validate

        validate(config.source())


def _is_here(config: Prepare) -> bool:
    return bool(config.location) or config.collection.startswith(EMBEDDED)
