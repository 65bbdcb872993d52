"""The settings that are tried on valid, the rows that try them, and the trials that were published.

A trial is a row of Table 2 or 7 at a scale of which one setting has another value. A new setting needs a line in
``SETTINGS`` and its values in a scale's ``tried``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ablations.starts import COMPARED
from reports.facts import Trial, Tuning
from repro.command import Options
from repro.pipeline_runs import PipelineRuns
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.scales.settings import varied
from simlm.stages.pipeline import Submit
from simlm.stages.reranker import Rerank, TrainReranker
from simlm.stages.runs import RunStage
from simlm.workflow.plan import job_of

TUNED = Path(__file__).parent / "tuned"
TRIAL_COLUMNS = ["row", "setting", "value", "measure", "score", "stage", "commit"]
MEASURE = "RR@10"
RERANKER_MEASURE = "RR in groups of 16"
RATE, ALPHA, PRETRAINING_RATE = "learning rate", "alpha", "pre-training learning rate"
TEMPERATURE, TOKENS, UPDATES = "temperature", "tokens a passage", "updates of Retriever1"
PRETRAINING_UPDATES, DEVIATION, DROPOUT = (
    "pre-training updates",
    "initial standard deviation",
    "dropout of the re-ranker",
)
MLM, ORDERED_MLM = "updates of MLM first", "updates of ordered MLM first"
GENERATOR = "updates of the generator"

STARTED = {"random": "random", "base": "base", "simlm-1": "simlm"}
"""Rows of Table 2 that are a Retriever1, with their starts."""
DISTILLED = {"base-distilled": "base", "simlm": "simlm"}
"""The distilled rows of Table 2, with their starts."""
ROW_NAMES = {"random": "random init", "base": "base", "base-distilled": "base", "simlm-1": "SimLM", "simlm": "SimLM"}
"""What a sentence calls the rows of both."""
RERANKER = {"reranker": ""}
"""Its re-ranker, which starts from the scale's own."""
PRETRAINED = {start: start for start in ("simlm", *COMPARED)}
"""The rows of Table 7 whose pre-training has a learning rate of its own."""


@dataclass(frozen=True)
class Setting:
    """One setting of a scale, who tries it, and how its value is chosen."""

    rows: Mapping[str, str]
    """The rows that try it, each with its start."""
    places: tuple[str, ...]
    """Where a scale has it: the names of attributes, with dots between."""
    tried_with: str
    """What is made of the rows, in words; ``{rows}`` are their names (``ROW_NAMES``)."""
    run: Literal["retriever1", "distilled", "reranker"] = "retriever1"
    """What is made from each start and judged."""
    chosen: str = "the best mean, one value for all"
    """What chose the value in force, in words."""
    best: bool = True
    """Whether the best mean over the rows is in force; otherwise time decided, and the trials show what it costs."""
    each: bool = False
    """Whether each row has its own best value."""
    without: str = ""
    """The start at the value 0, where the setting is the length of a training that a start can do without."""
    unused: bool = False
    """Whether the value in force is that 0, whatever length the scale has for others."""

    def changed(self, scale: Scale, value: float) -> Scale:
        """Return the scale with another value of the setting."""
        if self.each:
            scale = replace(scale, pretraining_rates={})
        for place in self.places if value or not self.without else ():
            scale = _with(scale, place.split("."), value)
        return scale

    def in_force(self, scale: Scale, row: str) -> float:
        """Return the scale's own value for one of the rows."""
        found: Any = scale
        for name in self.places[0].split("."):
            found = getattr(found, name)
        return 0 if self.unused else scale.pretraining_rates.get(row, found) if self.each else found


SETTINGS: Mapping[str, Setting] = {
    MLM: Setting(
        {"base": "base-mlm"},
        ("stand_in.optimisation.steps",),
        "base's Retriever1",
        chosen="the best",
        without="base",
        unused=True,
    ),
    ORDERED_MLM: Setting(
        {"base": "base-ordered-mlm"},
        ("stand_in.optimisation.steps",),
        "base's Retriever1",
        chosen="the best",
        without="base",
        unused=True,
    ),
    GENERATOR: Setting(
        {"simlm-1": "simlm"},
        ("generator_training.optimisation.steps",),
        "SimLM's Retriever1",
        chosen="seconds of training, kept whether it shows or not",
        best=False,
        without="simlm-untrained-generator",
    ),
    DEVIATION: Setting(
        {"random": "random"}, ("encoder.initializer_range",), "random init's Retriever1", chosen="the best"
    ),
    RATE: Setting(STARTED, ("retriever.optimisation.learning_rate",), "Retriever1 of {rows}"),
    TEMPERATURE: Setting(STARTED, ("retriever.temperature",), "Retriever1 of {rows}"),
    UPDATES: Setting(
        STARTED,
        ("retriever.optimisation.steps",),
        "Retriever1 of {rows}",
        chosen="as many as the scale's time allows",
        best=False,
    ),
    TOKENS: Setting(
        STARTED,
        ("pretraining.max_length", "retriever.passage_length"),
        "pre-training and Retriever1 of {rows}",
        chosen="as many as the scale's time allows",
        best=False,
    ),
    PRETRAINING_UPDATES: Setting(
        {"simlm-1": "simlm"},
        ("pretraining.optimisation.steps",),
        "SimLM's Retriever1",
        chosen="as many as the scale's time allows",
        best=False,
    ),
    ALPHA: Setting(DISTILLED, ("alpha",), "distillation of {rows}", run="distilled"),
    DROPOUT: Setting(RERANKER, ("reranker.dropout",), "the re-ranker", run="reranker", chosen="the best"),
    PRETRAINING_RATE: Setting(
        PRETRAINED,
        ("pretraining.optimisation.learning_rate",),
        "Retriever1 of every objective",
        chosen="the best of each",
        each=True,
    ),
}
"""Every setting that a scale can try, in the order of the trials."""


def _with(settings: Any, path: list[str], value: float) -> Any:
    """Return settings with another value at a path; a training of another length warms up for a tenth of it."""
    name, *rest = path
    changes: dict[str, Any] = {name: _with(getattr(settings, name), rest, value) if rest else value}
    if name == "steps" and value != settings.steps:
        changes["warmup_steps"] = int(value) // 10
    return replace(settings, **changes) if isinstance(settings, Scale) else varied(settings, **changes)


@dataclass(frozen=True)
class PlannedTrial:
    """One row of Table 2 or 7 with one value of one setting."""

    row: str
    setting: str
    value: float

    def stage(self, runs: PipelineRuns) -> RunStage | TrainReranker:
        """Return the stage that is judged on valid, of the pipeline at a scale that has the value."""
        setting = SETTINGS[self.setting]
        start = setting.without if setting.without and not self.value else setting.rows[self.row]
        if setting.run == "reranker":
            return runs.reranker()
        return runs.distilled(start) if setting.run == "distilled" else runs.retriever1(start)


def planned_trials(scale: Scale) -> list[PlannedTrial]:
    """Return every trial of a scale: the same values of a setting with every row that tries it."""
    return [
        PlannedTrial(row, name, value)
        for name, setting in SETTINGS.items()
        for row in setting.rows
        if row not in scale.left_out
        for value in scale.tried.get(name, ())
    ]


def trial_stages(options: Options, submit: Submit) -> list[RunStage | TrainReranker]:
    """Return the stage of every planned trial of a scale, in their order."""
    scale = options.whole().open_scale()
    trials = planned_trials(scale)
    runs: dict[tuple[str, float] | None, PipelineRuns] = {None: options.pipeline_runs(submit)}
    stages = {}
    others = {one for one in trials if one.value != SETTINGS[one.setting].in_force(scale, one.row)}
    # What is in force comes first: stages that trials share are called what tables call them.
    for one in sorted(trials, key=others.__contains__):
        key = (one.setting, one.value) if one in others else None
        if key not in runs:
            runs[key] = _runs_at(options, submit, one)
        stages[one] = one.stage(runs[key])
    return [stages[one] for one in trials]


def _runs_at(options: Options, submit: Submit, trial: PlannedTrial) -> PipelineRuns:
    """Return the pipeline at a scale that has the value of a trial."""
    scale = SETTINGS[trial.setting].changed(options.whole().open_scale(), trial.value)
    mark = f", {trial.setting} {trial.value:g}"
    return options.pipeline_runs(lambda stage, name: submit(stage, name + mark), scale)


def published_trials(scale: str) -> pd.DataFrame:
    """Return the published trials of a scale, empty if there are none.

    Returns:
        One line for each trial, with the columns ``TRIAL_COLUMNS``; ``score`` is on valid.

    Raises:
        UserError: The file holds something else.
    """
    path = TUNED / f"{scale}.csv"
    if not path.exists():
        return pd.DataFrame(columns=TRIAL_COLUMNS)
    try:
        texts = {"row": str, "setting": str, "measure": str, "stage": str, "commit": str}
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
    chosen = {job_of(run.reranker if isinstance(run, Rerank) else run).name: row for row, run in runs.items()}
    tunings = []
    for _, group in trials.groupby(["row", "setting"], sort=False):
        for stage in [stage for stage in group["stage"] if stage in chosen]:
            lines = zip(group["setting"], group["value"], group["score"], group["stage"], strict=True)
            tried = [Trial({name: f"{value:g}"}, score, one == stage) for name, value, score, one in lines]
            tunings.append(Tuning(chosen[stage], group["measure"].iloc[0], tried))
    return tunings


def tried_values(scale: str) -> dict[str, list[float]]:
    """Return the values of each setting that the published trials of a scale tried."""
    trials = published_trials(scale)
    return {str(setting): sorted(set(group["value"])) for setting, group in trials.groupby("setting")}


def best(trials: pd.DataFrame, name: str, row: str) -> float:
    """Return the value with the best score of a row where each has its own, otherwise with the best mean over rows."""
    chosen = trials[trials["setting"] == name]
    if SETTINGS[name].each:
        chosen = chosen[chosen["row"] == row]
    return float(chosen.groupby("value", sort=False)["score"].mean().idxmax())
