"""Which settings are tried on valid, equally often for each row, and the trials that were published."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro.cells import Cells
from simlm.scales import Scale
from simlm.stages.runs import RunStage

TUNED = Path(__file__).parent / "tuned"
MEASURE = "RR@10"
RATE, ALPHA = "learning rate", "alpha"


@dataclass(frozen=True)
class Try:
    """One setting of one of Table 2's rows."""

    row: str
    start: str
    setting: str
    value: float

    def run(self, cells: Cells) -> RunStage:
        """The runs of the row with that setting."""
        make = {RATE: cells.retriever1, ALPHA: cells.distilled}[self.setting]
        return make(self.start, self.value)


def tries(scale: Scale) -> list[Try]:
    """Every trial of a scale: its learning rates x starts, and its alphas x distilled rows."""
    starts = {"random": "random", "base": "base", "simlm-1": "simlm"}
    distilled = {"base-distilled": "base", "simlm": "simlm"}
    rates = [Try(row, start, RATE, rate) for row, start in starts.items() for rate in scale.rate_grid]
    alphas = [Try(row, start, ALPHA, alpha) for row, start in distilled.items() for alpha in scale.alpha_grid]
    return rates + alphas


def tried(scale: str) -> pd.DataFrame:
    """The published trials of a scale: row, setting, value, score (RR@10 on valid), stage, commit; maybe none."""
    path = TUNED / f"{scale}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["row", "setting", "value", "score", "stage", "commit"])
    return pd.read_csv(path, dtype={"stage": str, "commit": str})
