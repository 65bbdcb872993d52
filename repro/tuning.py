"""The trials behind the dense rows' settings: equally many for each row, judged on valid and never on test.

`python -m repro.tuning --help` lists the options. What `--publish` leaves in repro/tuned/ is shown in the reports.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from repro.cells import Cells
from repro.command import Options, main
from repro.run import make
from repro.trials import ALPHA, MEASURE, RATE, TUNED, Try, tries
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.stages.manifest import read_manifest
from simlm.stages.runs import RunStage

DESCRIPTION = """Try learning rates for every start and alphas for both distilled rows, on valid.

Examples:
  python -m repro.tuning --dry-run      what would run, and for how long
  python -m repro.tuning                all trials at mini scale, into results/mini/tuning.csv
  python -m repro.tuning --publish      the same, copied to repro/tuned/mini.csv, where reports read it
"""


def run(options: Options) -> None:
    """Make the trials that are lacking, list all, and say which setting has the best mean over its rows."""
    if options.rows:
        raise UserError("--rows: every row gets the same trials; leave it out")
    trials = tries(open_scale(options.scale))

    def build(submit: Any) -> list[RunStage]:
        cells = Cells(open_scale(options.scale), options.seed, submit, options.negatives)
        return [trial.run(cells) for trial in trials]

    made = make(build, options)
    if made is None:
        return
    _, runs = made
    frame = pd.DataFrame([_outcome(trial, Path(run.__xpm__.job.path)) for trial, run in zip(trials, runs, strict=True)])
    folder = options.results / options.scale / options.variant
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "tuning.csv", index=False)
    print(frame.to_string(index=False))
    means = frame.groupby(["setting", "value"], sort=False)["score"].mean()
    for setting in (RATE, ALPHA):
        print(f"best mean over the rows: {setting} {means[setting].idxmax():g}")
    print(f"trials: {folder / 'tuning.csv'}")
    if options.publish:
        TUNED.mkdir(exist_ok=True)
        frame.to_csv(TUNED / f"{options.scale}.csv", index=False)
        print(f"published: {os.path.relpath(TUNED / f'{options.scale}.csv')}")


def _outcome(trial: Try, job: Path) -> dict[str, Any]:
    manifest = read_manifest(job) or {}
    return {
        "row": trial.row,
        "setting": trial.setting,
        "value": trial.value,
        "score": round(manifest["numbers"][f"valid {MEASURE}"], 4),
        "stage": job.name,
        "commit": manifest["commit"],
    }


if __name__ == "__main__":
    main(run, DESCRIPTION)
