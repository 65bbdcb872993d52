"""Which settings are tried on valid, equally often for each row, and the trials that were published."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro.cells import Cells
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.stages.runs import RunStage

TUNED = Path(__file__).parent / "tuned"
COLUMNS = ["row", "setting", "value", "score", "stage", "commit"]
MEASURE = "RR@10"
RATE, ALPHA = "learning rate", "alpha"
RATE_ROWS = {"random": "random", "base": "base", "simlm-1": "simlm"}
"""The rows of Table 2 that try learning rates, Retriever1 of every start, and their starts."""
ALPHA_ROWS = {"base-distilled": "base", "simlm": "simlm"}
"""The rows that try alphas, the distilled ones, and their starts."""


@dataclass(frozen=True)
class PlannedTrial:
    """One row of Table 2 with one value of one setting."""

    row: str
    start: str
    setting: str
    value: float

    def stage(self, cells: Cells) -> RunStage:
        """The stage whose run on valid is judged."""
        if self.setting == RATE:
            return cells.retriever1(self.start, self.value)
        return cells.distilled(self.start, self.value)


def planned_trials(scale: Scale) -> list[PlannedTrial]:
    """Every trial of a scale: its learning rates with every start, and its alphas with every distilled row."""
    rates = [PlannedTrial(row, start, RATE, rate) for row, start in RATE_ROWS.items() for rate in scale.rate_grid]
    alphas = [PlannedTrial(row, start, ALPHA, alpha) for row, start in ALPHA_ROWS.items() for alpha in scale.alpha_grid]
    return rates + alphas


def in_force(scale: Scale) -> dict[str, float]:
    """The scale's own value of each setting that has trials."""
    return {RATE: scale.retriever.optimisation.learning_rate, ALPHA: scale.alpha}


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


def best(trials: pd.DataFrame, setting: str) -> float:
    """The value of a setting with the best mean score over its rows."""
    chosen = trials[trials["setting"] == setting]
    return float(chosen.groupby("value", sort=False)["score"].mean().idxmax())
