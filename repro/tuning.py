"""Try settings on valid and never on test, the same values with every row that they concern.

Each is a line of `repro.trials.SETTINGS`: learning rates, the temperature, alphas, the length of trainings and texts,
and whether base and the generator are trained before anything else. A scale says which values it tries.

Examples:
  python -m repro.tuning --dry-run      what would run, and for how long
  python -m repro.tuning                all trials at mini scale, into results/mini/tuning.csv
  python -m repro.tuning --publish      the same, copied to repro/tuned/mini.csv, where reports read it
"""

from pathlib import Path
from typing import Any

import pandas as pd

from repro.command import Options, main
from repro.run import make
from repro.run_values import measure_on
from repro.trials import (
    MEASURE,
    RERANKER_MEASURE,
    SETTINGS,
    TRIAL_COLUMNS,
    TUNED,
    PlannedTrial,
    best,
    planned_trials,
    trial_stages,
)
from simlm.errors import UserError
from simlm.files import write_atomically
from simlm.paths import shown
from simlm.scales import lacks_minilm, open_scale
from simlm.scales.minilm import INSTALL, REPOSITORY
from simlm.stages.reranker import TrainReranker
from simlm.stages.runs import RunStage
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of


def run(options: Options) -> None:
    """Make the trials that are not there yet, list all, and say which values they choose."""
    if options.rows:
        raise UserError("--rows: every row gets the same trials; leave it out")
    if options.publish and options.scale == "smoke":
        raise UserError("--publish: figures of the smoke scale mean nothing; choose another scale")
    usual = open_scale(options.scale)
    if options.publish and (options.open_scale().precision != usual.precision or lacks_minilm(usual)):
        raise UserError(
            f"--publish: a scale has one file of trials, in {usual.precision}, with {REPOSITORY} where it starts from "
            f"that; leave --precision out on a processor that has it, and install the model ({INSTALL})"
        )
    trials = planned_trials(options.open_scale())
    if not trials:
        raise UserError(f"the scale {options.scale} tunes nothing on valid: its values are the paper's; choose another")

    made = make(trial_stages, options)
    if made is None:
        return
    outcomes = [_outcome(trial, stage) for trial, stage in zip(trials, made[1], strict=True)]
    if options.rehearse:
        return
    frame = pd.DataFrame(outcomes, columns=TRIAL_COLUMNS)
    print(frame.to_string(index=False))
    for name in dict.fromkeys(one.setting for one in trials):
        rows = list(dict.fromkeys(one.row for one in trials if one.setting == name))
        for of in [[row] for row in rows] if SETTINGS[name].each else [rows]:
            found, own = best(frame, name, of[0]), SETTINGS[name].in_force(options.open_scale(), of[0])
            print(f"best {name}, {'mean of ' if of[1:] else ''}{', '.join(of)}: {found:g}")
            if found != own:
                print(_otherwise(options, name, own))
    targets = [options.folder / options.scale / options.variant / "tuning.csv"]
    targets += [TUNED / f"{options.scale}.csv"] if options.publish else []
    for target in targets:
        _write(frame, target)
        print(f"trials: {shown(target)}")


def _otherwise(options: Options, name: str, own: float) -> str:
    """Say what to do where another value is better than the scale's own."""
    if not SETTINGS[name].best:
        return f"the scale has {own:g}: {SETTINGS[name].chosen}"
    if options.collection:
        return f"the scale has {own:g}, chosen on InsuranceQA, and no option that sets it"
    return f"the scale has {own:g}: change that in simlm/scales/{options.scale}.py or ablations/starts.py"


def _write(frame: pd.DataFrame, target: Path) -> None:
    try:
        write_atomically(target, frame.to_csv(index=False).encode())
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); mend that and run again") from None


def _outcome(trial: PlannedTrial, stage: RunStage | TrainReranker) -> dict[str, Any]:
    job = job_of(stage)
    manifest = read_manifest(job) or {}
    numbers = manifest["numbers"]
    if isinstance(stage, TrainReranker):
        measure, score = RERANKER_MEASURE, numbers["mrr"]
    else:
        measure, score = MEASURE, numbers[f"valid {measure_on(stage, MEASURE, 'valid')}"]
    return {
        "row": trial.row,
        "setting": trial.setting,
        "value": trial.value,
        "measure": measure,
        "score": round(score, 4),
        "stage": job.name,
        "commit": manifest["commit"],
    }


if __name__ == "__main__":
    main(run, __doc__)
