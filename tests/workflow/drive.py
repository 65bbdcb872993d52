"""A driver as a command, over a toy pipeline: `python -m tests.workflow.drive RESULTS SHAPE [keep-going]`."""

import os
import sys
from pathlib import Path

from simlm.errors import UserError
from simlm.stopping import exit_status, stoppable
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import StageFailed, StageStatus, run
from tests.workflow.toy import SHAPES


class Lines:
    """Prints what the driver says, and each change of a stage's state."""

    def __init__(self) -> None:
        self.states: dict[Path, str] = {}

    def say(self, line: str) -> None:
        print("said", line, flush=True)

    def show(self, moments: list[StageStatus]) -> None:
        for moment in moments:
            if self.states.get(moment.planned.job) != moment.state:
                self.states[moment.planned.job] = moment.state
                print(moment.state, moment.planned.name, flush=True)


def main(results: Path, shape: str, keep_going: bool) -> int:
    """Run a toy pipeline; 0 when it is done, 2 for a user's mistake, 1 for another failure, more for a signal."""
    try:
        choices = Choices("cpu", processes=int(os.environ.get("SIMLM_TOY_PROCESSES", "1")))
        with stoppable():
            stages, _ = run(SHAPES[shape], results, Lines(), LocalLauncher(choices), keep_going)
    except UserError as error:
        print("mistake", error, flush=True)
        return 2
    except StageFailed as error:
        print("failure", error, flush=True)
        return 1
    except KeyboardInterrupt as stopped:
        return exit_status(stopped)
    for stage in stages:
        if stage.failure is None:
            print("finished", stage.name, stage.job, flush=True)
        else:
            print("lacks", f"{stage.name}: {stage.failure}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], "keep-going" in sys.argv))
