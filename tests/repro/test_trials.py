"""Trials on valid: the same for every row, and a trial with the scale's own value is the table's own stage."""

import subprocess
import sys
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

from repro.cells import Cells
from repro.trials import ALPHA, RATE, TUNED, tried, tries
from simlm.data.collections import open_collection
from simlm.scales import NAMES, Scale, open_scale
from simlm.stages.plan import plan
from tests.repro.commands import ROOT, Results

COLUMNS = ["row", "setting", "value", "score", "stage", "commit"]


@pytest.fixture(params=NAMES)
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def test_every_row_gets_the_same_values_and_the_scales_own_is_among_them(scale: Scale) -> None:
    values: dict[str, dict[str, list[float]]] = {}
    for one in tries(scale):
        values.setdefault(one.setting, {}).setdefault(one.row, []).append(one.value)
    assert set(values[RATE]) == {"random", "base", "simlm-1"}
    assert set(values[ALPHA]) == {"base-distilled", "simlm"}
    for setting, own in ((RATE, scale.retriever.optimisation.learning_rate), (ALPHA, scale.alpha)):
        (same,) = {tuple(row) for row in values[setting].values()}
        assert own in same and len(set(same)) == len(same) > 1


def test_a_trial_of_the_scales_own_value_is_the_tables_stage(scale: Scale, tmp_path: Path) -> None:
    def build(submit):  # type: ignore[no-untyped-def]
        cells = Cells(open_scale(scale.name), 0, submit)
        table = {start: cells.retriever1(start) for start in ("random", "base", "simlm")}
        trials = [(one, one.run(cells)) for one in tries(scale) if one.setting == RATE]
        return table, trials

    _, (table, trials) = plan(build, tmp_path)
    for one, run in trials:
        same = Path(run.__xpm__.job.path) == Path(table[one.start].__xpm__.job.path)
        assert same == (one.value == scale.retriever.optimisation.learning_rate), one


@pytest.mark.parametrize("name", [path.stem for path in TUNED.glob("*.csv")])
def test_published_trials_are_equally_many_a_row_and_their_best_mean_is_in_force(name: str) -> None:
    frame, scale = tried(name), open_scale(name)
    assert list(frame.columns) == COLUMNS
    assert [(one.row, one.setting, one.value) for one in tries(scale)] == list(
        zip(frame["row"], frame["setting"], frame["value"], strict=True)
    )
    means = frame.groupby(["setting", "value"])["score"].mean()
    assert means[RATE].idxmax() == scale.retriever.optimisation.learning_rate
    assert means[ALPHA].idxmax() == scale.alpha


def test_a_scale_without_published_trials_has_none() -> None:
    assert list(tried("no such scale").columns) == COLUMNS
    assert tried("no such scale").empty


def tuning(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "repro.tuning", "--scale", "smoke", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_leaves_every_trial_with_the_measure_of_its_run_on_valid(smoke: Results, tmp_path: Path) -> None:
    folder = smoke.copy(tmp_path / "results").folder
    ran = tuning("--results", str(folder))
    assert ran.returncode == 0, ran.stderr
    frame = pd.read_csv(folder / "smoke" / "tuning.csv")
    assert list(zip(frame["row"], frame["value"], strict=True)) == [
        (one.row, one.value) for one in tries(open_scale("smoke"))
    ]
    qrels = open_collection("insuranceqa-smoke").qrels("valid")
    judged = [ir_measures.Qrel(query, passage, grade) for query in qrels for passage, grade in qrels[query].items()]
    for one in frame.itertuples():
        (run,) = folder.glob(f"jobs/*/{one.stage}/output/valid.run")
        values = ir_measures.iter_calc([ir_measures.RR @ 10], judged, ir_measures.read_trec_run(str(run)))
        assert one.score == pytest.approx(sum(value.value for value in values) / len(qrels), abs=1e-4)
    assert "best mean over the rows: learning rate" in ran.stdout


def test_rows_cannot_be_left_out(tmp_path: Path) -> None:
    ran = tuning("--rows", "simlm", "--results", str(tmp_path / "results"))
    assert ran.returncode == 2 and "--rows" in ran.stderr and not (tmp_path / "results").exists()
