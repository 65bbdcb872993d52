"""The settings that are tried on valid, the same values with each row, and the trials that were published."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ablations.starts import COMPARED
from reports.facts import Trial, Tuning
from repro.command import Options
from repro.pipeline_runs import PipelineRuns
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.stages.pipeline import Submit
from simlm.stages.runs import RunStage
from simlm.workflow.plan import job_of

TUNED = Path(__file__).parent / "tuned"
TRIAL_COLUMNS = ["row", "setting", "value", "score", "stage", "commit"]
MEASURE = "RR@10"
RATE, ALPHA, PRETRAINING_RATE = "learning rate", "alpha", "pre-training learning rate"
RATE_ROWS = {"random": "random", "base": "base", "simlm-1": "simlm"}
"""The rows of Table 2 that try learning rates, each a Retriever1, with their starts."""
ALPHA_ROWS = {"base-distilled": "base", "simlm": "simlm"}
"""The distilled rows of Table 2, which try alphas, with their starts."""
MLM, ORDERED_MLM = "updates of MLM before", "updates of MLM with sentence order before"
GENERATOR = "updates of the generator"
TRAININGS = {
    MLM: ("base", "base", "base-mlm"),
    ORDERED_MLM: ("base", "base", "base-ordered-mlm"),
    GENERATOR: ("simlm-1", "simlm-untrained-generator", "simlm"),
}
"""Trainings that a row's start can do without: the row of Table 2, and its starts without and with it."""
PRETRAINED = ("simlm", *COMPARED)
"""The rows of Table 7 that try pre-training learning rates, each for itself."""


@dataclass(frozen=True)
class PlannedTrial:
    """One row of Table 2 or 7 with one value of one setting."""

    row: str
    start: str
    setting: str
    value: float

    def stage(self, runs: PipelineRuns) -> RunStage:
        """Return the stage whose run on valid is judged.

        Args:
            runs: The pipeline's runs; for a pre-training rate, those of a scale that has the rate.
        """
        if self.setting == PRETRAINING_RATE or self.setting in TRAININGS:
            return runs.retriever1(self.start)
        if self.setting == RATE:
            return runs.retriever1(self.start, self.value)
        return runs.distilled(self.start, self.value)


def planned_trials(scale: Scale) -> list[PlannedTrial]:
    """Return every trial of a scale: the same values of a setting with every row that tries it."""
    rates = [PlannedTrial(row, start, RATE, rate) for row, start in RATE_ROWS.items() for rate in scale.rate_grid]
    alphas = [PlannedTrial(row, start, ALPHA, alpha) for row, start in ALPHA_ROWS.items() for alpha in scale.alpha_grid]
    pretraining = [
        PlannedTrial(start, start, PRETRAINING_RATE, rate)
        for start in PRETRAINED
        for rate in scale.pretraining_rate_grid
    ]
    trainings = [
        PlannedTrial(row, start, setting, updates)
        for setting, (row, *starts) in TRAININGS.items()
        if scale.rate_grid
        for start, updates in zip(starts, (0, _updates(scale, setting)), strict=True)
    ]
    return trainings + rates + alphas + pretraining


def trial_stages(options: Options, submit: Submit) -> list[RunStage]:
    """Return the stage of every planned trial of a scale, in their order."""

    def at_pretraining_rate(rate: float) -> PipelineRuns:
        scale = replace(options.open_scale(), pretraining_rates=dict.fromkeys(PRETRAINED, rate))
        name = f", pre-training rate {rate:g}"
        return PipelineRuns(scale, options.seed, lambda stage, of: submit(stage, of + name), options.negatives)

    scale = options.open_scale()
    own = options.pipeline_runs(submit)
    pretrained = {rate: at_pretraining_rate(rate) for rate in scale.pretraining_rate_grid}
    return [
        one.stage(pretrained[one.value] if one.setting == PRETRAINING_RATE else own) for one in planned_trials(scale)
    ]


def in_force(scale: Scale, setting: str, row: str) -> float:
    """Return the scale's own value of a setting that has trials, for one of the rows."""
    if setting == PRETRAINING_RATE:
        return scale.pretraining_rates.get(row, scale.pretraining.optimisation.learning_rate)
    if setting in TRAININGS:
        return _updates(scale, setting) if setting == GENERATOR else 0
    return {RATE: scale.retriever.optimisation.learning_rate, ALPHA: scale.alpha}[setting]


def _updates(scale: Scale, setting: str) -> int:
    """Return how long the training is that a setting of ``TRAININGS`` counts."""
    training = scale.generator_training if setting == GENERATOR else scale.stand_in
    assert training is not None, "only scales that make their own models try it"
    return training.optimisation.steps


def published_trials(scale: str) -> pd.DataFrame:
    """Return the published trials of a scale, empty if there are none.

    Returns:
        One line for each trial, with the columns ``TRIAL_COLUMNS``; ``score`` is RR@10 on valid.

    Raises:
        UserError: The file holds something else.
    """
    path = TUNED / f"{scale}.csv"
    if not path.exists():
        return pd.DataFrame(columns=TRIAL_COLUMNS)
    try:
        texts = {"row": str, "setting": str, "stage": str, "commit": str}
        frame = pd.read_csv(path, dtype=texts, keep_default_na=False)
        if list(frame.columns) != TRIAL_COLUMNS:
            raise ValueError(f"its columns are {', '.join(frame.columns)}")
        return frame.astype({"value": float, "score": float})
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: damaged trials ({error}); restore the file with git, or run python -m repro.tuning --publish"
        ) from None


def trials_in_force(runs: Mapping[str, RunStage], trials: pd.DataFrame) -> list[Tuning]:
    """Return the published trials of the rows whose settings they chose; others were trained with other settings."""
    chosen = {job_of(run).name: row for row, run in runs.items()}
    tunings = []
    for _, group in trials.groupby(["row", "setting"], sort=False):
        for stage in [stage for stage in group["stage"] if stage in chosen]:
            lines = zip(group["setting"], group["value"], group["score"], group["stage"], strict=True)
            tried = [Trial({name: f"{value:g}"}, score, one == stage) for name, value, score, one in lines]
            tunings.append(Tuning(chosen[stage], MEASURE, tried))
    return tunings


def tried_values(scale: str) -> dict[str, list[float]]:
    """Return the values of each setting that the published trials of a scale tried."""
    trials = published_trials(scale)
    return {str(setting): sorted(set(group["value"])) for setting, group in trials.groupby("setting")}


def best(trials: pd.DataFrame, setting: str, row: str) -> float:
    """Return the value that the trials chose for a row: its own best for pre-training, otherwise the best mean."""
    chosen = trials[trials["setting"] == setting]
    if setting == PRETRAINING_RATE:
        chosen = chosen[chosen["row"] == row]
    return float(chosen.groupby("value", sort=False)["score"].mean().idxmax())
