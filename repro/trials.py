"""Which settings are tried on valid, the same values with each row that they concern, and the published trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from ablations.starts import OBJECTIVES
from reports.facts import Trial, Tuning
from repro.pipeline_runs import PipelineRuns
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.stages.runs import RunStage
from simlm.workflow.plan import job_of

TUNED = Path(__file__).parent / "tuned"
COLUMNS = ["row", "setting", "value", "score", "stage", "commit"]
MEASURE = "RR@10"
RATE, ALPHA, PRETRAINING_RATE = "learning rate", "alpha", "pre-training learning rate"
RATE_ROWS = {"random": "random", "base": "base", "simlm-1": "simlm"}
"""The rows of Table 2 that try learning rates, each a Retriever1, and their starts."""
ALPHA_ROWS = {"base-distilled": "base", "simlm": "simlm"}
"""The rows that try alphas, the distilled ones, and their starts."""
PRETRAINED = ("simlm", *OBJECTIVES)
"""The starts of Table 7, each a row that tries pre-training learning rates; each keeps its own best."""


@dataclass(frozen=True)
class PlannedTrial:
    """One row of Table 2, or of Table 7, with one value of one setting."""

    row: str
    start: str
    setting: str
    value: float

    def stage(self, runs: PipelineRuns) -> RunStage:
        """The stage whose run on valid is judged; ``runs`` are those of the value where it is of pre-training."""
        if self.setting == PRETRAINING_RATE:
            return runs.retriever1(self.start)
        if self.setting == RATE:
            return runs.retriever1(self.start, self.value)
        return runs.distilled(self.start, self.value)


def planned_trials(scale: Scale) -> list[PlannedTrial]:
    """Every trial of a scale: the same values of a setting with every row that tries it."""
    rates = [PlannedTrial(row, start, RATE, rate) for row, start in RATE_ROWS.items() for rate in scale.rate_grid]
    alphas = [PlannedTrial(row, start, ALPHA, alpha) for row, start in ALPHA_ROWS.items() for alpha in scale.alpha_grid]
    pretraining = [
        PlannedTrial(start, start, PRETRAINING_RATE, rate)
        for start in PRETRAINED
        for rate in scale.pretraining_rate_grid
    ]
    return rates + alphas + pretraining


def trial_stages(open_cells: Callable[[Callable[[Scale], Scale], str], PipelineRuns], scale: Scale) -> list[RunStage]:
    """The stage of every planned trial.

    ``open_cells`` makes the cells of a scale that a function has changed; their stages' names end in the text given.
    """
    own = open_cells(lambda unchanged: unchanged, "")
    pretrained = {
        rate: open_cells(partial(_all_at, rate=rate), f", pre-training rate {rate:g}")
        for rate in scale.pretraining_rate_grid
    }
    return [
        one.stage(pretrained[one.value] if one.setting == PRETRAINING_RATE else own) for one in planned_trials(scale)
    ]


def _all_at(scale: Scale, rate: float) -> Scale:
    return replace(scale, pretraining_rates=dict.fromkeys(PRETRAINED, rate))


def in_force(scale: Scale, setting: str, row: str) -> float:
    """The scale's own value of a setting that has trials, for one of their rows."""
    if setting == PRETRAINING_RATE:
        return scale.pretraining_rates.get(row, scale.pretraining.optimisation.learning_rate)
    return {RATE: scale.retriever.optimisation.learning_rate, ALPHA: scale.alpha}[setting]


def published_trials(scale: str) -> pd.DataFrame:
    """The trials kept for a scale (COLUMNS; ``score`` is RR@10 on valid), none where none are kept.

    UserError for a file that holds something else.
    """
    path = TUNED / f"{scale}.csv"
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        frame = pd.read_csv(path, dtype={"row": str, "setting": str, "stage": str, "commit": str})
        if list(frame.columns) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(frame.columns)}")
        return frame.astype({"value": float, "score": float})
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: damaged trials ({error}); restore the file with git, or run python -m repro.tuning --publish"
        ) from None


def trials_in_force(runs: Mapping[str, RunStage], trials: pd.DataFrame) -> list[Tuning]:
    """The published trials of the rows that have one of them; other rows were trained with other settings."""
    chosen = {job_of(run).name: row for row, run in runs.items()}
    tunings = []
    for _, group in trials.groupby(["row", "setting"], sort=False):
        for stage in [stage for stage in group["stage"] if stage in chosen]:
            lines = zip(group["setting"], group["value"], group["score"], group["stage"], strict=True)
            tried = [Trial({name: f"{value:g}"}, score, one == stage) for name, value, score, one in lines]
            tunings.append(Tuning(chosen[stage], MEASURE, tried))
    return tunings


def tried_values(scale: str) -> dict[str, list[float]]:
    """The values of each setting among the published trials of a scale, whose own settings they are of."""
    trials = published_trials(scale)
    return {str(setting): sorted(set(group["value"])) for setting, group in trials.groupby("setting")}


def best(trials: pd.DataFrame, setting: str, row: str) -> float:
    """The value that a setting's trials chose for a row: for pre-training its own best, otherwise the best mean."""
    chosen = trials[trials["setting"] == setting]
    if setting == PRETRAINING_RATE:
        chosen = chosen[chosen["row"] == row]
    return float(chosen.groupby("value", sort=False)["score"].mean().idxmax())
