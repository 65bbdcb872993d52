"""A driver as a command, over a toy pipeline: `python -m tests.workflow.drive RESULTS SHAPE [OPTION ...]`.

With options of sbatch, KEY=VALUE, the stages are jobs of Slurm.
"""

import os
import sys
from pathlib import Path
from unittest.mock import patch

from simlm.errors import UserError
from simlm.stopping import exit_status, stoppable
from simlm.workflow import slurm_jobs
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import StageFailed, StageStatus, run
from simlm.workflow.slurm import slurm_launcher
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


def main(results: Path, shape: str, *options: str) -> int:
    """Run a toy pipeline; 0 when it is done, 2 for a user's mistake, 1 for another failure, more for a signal."""
    try:
        choices = Choices("cpu", processes=int(os.environ.get("SIMLM_TOY_PROCESSES", "1")))
        sbatch = [option for option in options if "=" in option]
        with patch.object(slurm_jobs, "POLL_SECONDS", 1.0), stoppable():
            launcher = slurm_launcher(sbatch, choices) if sbatch else LocalLauncher(choices)
            stages, _ = run(SHAPES[shape], results, Lines(), launcher, "keep-going" in options)
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
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
