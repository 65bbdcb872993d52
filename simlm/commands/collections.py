"""A mistake in a collection, found by the command itself: a stage would find it when folders were already made."""

from pathlib import Path

from simlm.data.catalogue import IRDS, fetched
from simlm.stages.data import Prepare
from simlm.workflow.plan import Build, plan


def check_collections(build: Build, results: Path, fetch: bool = True) -> None:
    """UserError for a collection that ``build`` has still to tokenise and that breaks a rule; nothing is written.

    The paper's own, which are fetched and take long to read, are left to the stage that tokenises them; so are those of
    ir_datasets without ``fetch``.
    """
    # Only these stages are judged: to verify the others takes time, and they are verified later.
    lacking = [stage.config for stage in plan(build, results, Prepare)[0] if not stage.valid]
    own = [one for one in lacking if isinstance(one, Prepare) and not fetched(one.collection)]
    own = [one for one in own if fetch or not one.collection.startswith(IRDS)]
    for config in {(one.collection, one.location): one for one in own}.values():
        # Not before there is one to read: importing ir_datasets makes folders below HOME.
        from simlm.data.checks import validate

        validate(config.source())
