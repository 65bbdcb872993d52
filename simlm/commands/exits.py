"""How a command ends."""

import sys
from collections.abc import Callable

from simlm.errors import UserError
from simlm.workflow.scheduler import StageFailed


def leave_by(work: Callable[[], None]) -> None:
    """Do the work and leave with 0, 1 (a stage failed), 2 (user's mistake) or 130 (Ctrl-C), each with one line."""
    try:
        work()
    except UserError as error:
        sys.exit(_say(f"error: {error}", 2))
    except StageFailed as error:
        sys.exit(_say(f"failed: {error}", 1))
    except KeyboardInterrupt:
        sys.exit(_say("stopped; the same command goes on from the last checkpoints", 130))


def _say(line: str, status: int) -> int:
    print(" ".join(line.splitlines()), file=sys.stderr)
    return status
