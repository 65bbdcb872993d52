"""What four times the updates change: would the order of rows have turned with more training?

Pre-trainings are four times as long, and fine-tuned as before. What has no pre-training is fine-tuned four times as
long instead: otherwise more training would be for one side alone. The rows were fixed before any was trained longer.

Examples:
  python -m repro.longer               the trial at mini scale
  python -m repro.longer --dry-run     what would run, and for how long
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import pandas as pd

from reports.page import Cell, Page, Section
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete
from repro.paper_claims import CLAIMS
from repro.run import finish, make
from repro.run_values import measure_on, values_of
from repro.table7 import NAMES
from simlm.evaluation.crossed import Difference, crossed
from simlm.scales.scale import Scale
from simlm.scales.settings import PretrainingSettings, RetrieverSettings, varied
from simlm.stages.pipeline import EVALUATED, Submit
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

NAME = "longer"
TIMES = 4
ROWS = ("base", "simlm", "mlm", "enc-dec-mlm", "enc-dec-rtd")
"""Starts of Table 7, each fine-tuned as Retriever1."""
COMPARED = tuple(claim for claim in CLAIMS if claim.table == "table7" and {row for _, row in claim.rows} <= {*ROWS})
"""The claims on these rows alone."""
MEASURES = ("RR@10", "R@50")
Line = dict[str, Cell]
S = TypeVar("S", PretrainingSettings, RetrieverSettings)


class Trial(NamedTuple):
    """A row's run as its table has it, and the run with more training."""

    usual: RunStage
    longer: RunStage


def longer(scale: Scale, what: str) -> Scale:
    """Return a scale whose pre-training, or fine-tuning as Retriever1, has four times the updates and the warm-up."""
    if what == "pre-training":
        return replace(scale, pretraining=_more(scale.pretraining))
    own = {start: _more(settings) for start, settings in scale.retrievers.items()}
    return replace(scale, retriever=_more(scale.retriever), retrievers=own)


def _more(settings: S) -> S:
    before = settings.optimisation
    steps = {"steps": TIMES * before.steps, "warmup_steps": TIMES * before.warmup_steps}
    return varied(settings, optimisation=varied(before, **steps))


def trained_longer(start: str) -> str:
    """Return what of a row is longer."""
    return "fine-tuning" if start == "base" else "pre-training"


def ask(options: Options, submit: Submit) -> dict[str, Trial]:
    """Return each row's runs, by its start."""

    def named(stage: Stage, name: str) -> object:
        return submit(stage, f"{name}, {TIMES} x")

    usual = options.pipeline_runs(submit)
    more = {
        what: options.pipeline_runs(named, longer(options.open_scale(), what))
        for what in ("pre-training", "fine-tuning")
    }
    return {start: Trial(usual.retriever1(start), more[trained_longer(start)].retriever1(start)) for start in ROWS}


def run(options: Options) -> None:
    """Make the runs, and write the page."""
    refuse(options, NAME, "rows")
    started = time.perf_counter()
    made = make(ask, options)
    if made is None:
        return
    stages, trials = made
    page = longer_page(options.scale, trials)
    rows = {_label(start): both for start, both in trials.items()}
    complete(page, NAME, options, StageResults.of(stages), time.perf_counter() - started, rows=rows)
    finish(page, NAME, options)


def longer_page(scale: str, trials: Mapping[str, Trial]) -> Page:
    """Return the page of finished trials."""
    changes: list[Line] = []
    orders: list[Line] = []
    for split in EVALUATED:
        for measure in MEASURES:
            values = {start: [_values(run, measure, split) for run in both] for start, both in trials.items()}
            head: Line = {"split": split, "measure": measure_on(trials["base"].usual, measure, split)}
            for start, (before, after) in values.items():
                row: Line = {"row": _label(start), "longer": trained_longer(start), **head}
                row |= {"1 x": float(before.mean()), f"{TIMES} x": float(after.mean())}
                changes.append(row | _shown("change", _difference(after, before)))
            for claim in COMPARED if measure == MEASURES[0] else ():
                ((higher, lower),) = claim.pairs
                line: Line = {"claim": claim.sentence, **head}
                for number, times in enumerate(("1 x", f"{TIMES} x")):
                    line |= _shown(times, _difference(values[higher][number], values[lower][number]))
                orders.append(line)
    return Page(
        title=f"What {TIMES} times the updates change",
        scale=scale,
        introduction=(
            "Would the order of rows have turned with more training? Each row is fine-tuned as Retriever1. Where a "
            f"row has a pre-training, that has {TIMES} times the updates of the tables; where it has none, fine-tuning "
            "has, so that both sides train longer. Rows and claims were fixed before any was trained longer; learning "
            "rates are those of the tables. The figures are of one training seed: intervals (95 %, paired t over "
            "queries) do not cover another."
        ),
        sections=[
            Section("Rows", changes),
            Section("Claims of Table 7 on these rows: how far the first is above the second", orders),
        ],
    )


def _label(start: str) -> str:
    return "no further pre-training" if start == "base" else NAMES[start]


def _values(run: RunStage, measure: str, split: str) -> "pd.Series[float]":
    name = measure_on(run, measure, split)
    return values_of(run, [name], split)[name]


def _difference(one: "pd.Series[float]", other: "pd.Series[float]") -> Difference:
    return crossed((one.reindex(other.index) - other).to_numpy()[None])


def _shown(head: str, difference: Difference) -> Line:
    low, high = difference.interval()
    return {head: f"{difference.mean:+.4f}", f"{head}, 95 %": f"[{low:+.4f}, {high:+.4f}]"}


if __name__ == "__main__":
    main(run, __doc__)
