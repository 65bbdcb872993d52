"""Trials on valid: the same for every row, and a trial with the scale's own value is the table's own stage."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ir_measures
import pandas as pd
import pytest

from ablations.starts import COMPARED
from repro import tuning
from repro.command import Options
from repro.table2 import table2
from repro.trials import (
    ALPHA,
    DROPOUT,
    MEASURE,
    PRETRAINING_RATE,
    RATE,
    RERANKER_MEASURE,
    SETTINGS,
    TRIAL_COLUMNS,
    TUNED,
    best,
    planned_trials,
    published_trials,
    trial_stages,
    trials_in_force,
)
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.scales import NAMES, Scale, lacks_minilm, open_scale
from simlm.workflow.plan import plan
from simlm.workflow.stage import Stage
from tests.repro.commands import Results


@pytest.fixture(params=[name for name in NAMES if open_scale(name).tried])
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def stages(scale: Scale, folder: Path) -> tuple[dict[str, str], list[str]]:
    """The identifiers of the stages of Table 2's and 7's rows, and of the scale's trials in their order."""

    options = Options(scale=scale.name, precision=scale.precision)

    def build(submit: Any) -> tuple[dict[str, Stage], list[Any]]:
        own = options.pipeline_runs(submit)
        rows = {row.key: row.run(own) for row in table2().rows} | {start: own.retriever1(start) for start in COMPARED}
        return rows | {"reranker": own.reranker()}, trial_stages(options, submit)

    def name(stage: Stage) -> str:
        return Path(stage.__xpm__.job.path).name

    _, (rows, trials) = plan(build, folder)
    return {key: name(stage) for key, stage in rows.items()}, [name(stage) for stage in trials]


def test_every_row_gets_the_same_values_and_the_scales_own_is_among_them(scale: Scale) -> None:
    values: dict[str, dict[str, list[float]]] = {}
    for one in planned_trials(scale):
        values.setdefault(one.setting, {}).setdefault(one.row, []).append(one.value)
    assert set(values[RATE]) == {"random", "base", "simlm-1"} - {*scale.left_out}
    assert set(values[ALPHA]) == {"base-distilled", "simlm"} - {*scale.left_out}
    assert set(values.get(PRETRAINING_RATE, {"simlm", *COMPARED})) == {"simlm", *COMPARED}
    assert set(values) == set(scale.tried) <= set(SETTINGS)
    for setting, rows in values.items():
        (same,) = {tuple(row) for row in rows.values()}
        assert len(set(same)) == len(same) > 1
        assert all(SETTINGS[setting].in_force(scale, row) in same for row in rows)


@pytest.mark.usefixtures("minilm")
def test_a_trial_of_the_scales_own_value_is_the_stage_of_its_row_and_the_others_differ(
    scale: Scale, tmp_path: Path
) -> None:
    rows, trials = stages(scale, tmp_path)
    others = []
    for one, stage in zip(planned_trials(scale), trials, strict=True):
        row = rows["simlm-1" if (one.row, one.setting) == ("simlm", PRETRAINING_RATE) else one.row]
        assert (stage == row) == (one.value == SETTINGS[one.setting].in_force(scale, one.row)), one
        others += [stage] if stage != row else []
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("name", [one.stem for one in TUNED.glob("*.csv")])
def test_published_trials_are_those_of_the_settings_in_force_which_they_choose(name: str, tmp_path: Path) -> None:
    frame, scale = published_trials(name), open_scale(name)
    if lacks_minilm(scale):  # what stands on it has other stages here
        pytest.skip("the public model that the re-ranker starts from is not installed")
    assert list(frame["stage"]) == stages(scale, tmp_path)[1]
    assert list(frame["value"]) == [one.value for one in planned_trials(scale)]
    for setting, row in {(one.setting, one.row) for one in planned_trials(scale)}:
        if SETTINGS[setting].best:
            assert best(frame, setting, row) == SETTINGS[setting].in_force(scale, row), (setting, row)


def test_a_scale_without_published_trials_has_none() -> None:
    frame = published_trials("no such scale")
    assert list(frame.columns) == TRIAL_COLUMNS and frame.empty


@pytest.mark.parametrize(
    "content", ["", "row,score\nsimlm,0.1\n", ",".join(TRIAL_COLUMNS) + "\nsimlm,alpha,much,RR@10,0.1,x,y\n"]
)
def test_damaged_trials_are_refused_with_the_file_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.trials.TUNED", tmp_path)
    (tmp_path / "mini.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="mini.csv: damaged trials"):
        published_trials("mini")


def test_a_report_shows_the_trials_of_the_rows_that_have_their_settings() -> None:
    def run(identifier: str):  # type: ignore[no-untyped-def]
        return SimpleNamespace(__xpm__=SimpleNamespace(job=SimpleNamespace(path=f"jobs/retrieve/{identifier}")))

    lines = [("simlm", 0.2, 0.1, "a"), ("simlm", 2.0, 0.3, "b"), ("base-distilled", 0.2, 0.1, "c")]
    trials = pd.DataFrame(
        [(row, ALPHA, value, MEASURE, *rest, "commit") for row, value, *rest in lines], columns=TRIAL_COLUMNS
    )
    (found,) = trials_in_force(
        {"simlm": run("b"), "base-distilled": run("another"), "bm25": run("none of them")}, trials
    )
    assert found.row == "simlm"
    assert [(one.settings, one.score, one.chosen) for one in found.trials] == [
        ({ALPHA: "0.2"}, 0.1, False),
        ({ALPHA: "2"}, 0.3, True),
    ]


def test_every_trial_is_left_with_the_measure_of_its_run_on_valid(tables: Results) -> None:
    folder = tables.folder
    frame = pd.read_csv(folder / "smoke" / "tuning.csv")
    assert list(zip(frame["row"], frame["value"], strict=True)) == [
        (one.row, one.value) for one in planned_trials(open_scale("smoke"))
    ]
    qrels = open_collection("insuranceqa-smoke").qrels("valid")
    judged = [ir_measures.Qrel(query, passage, grade) for query in qrels for passage, grade in qrels[query].items()]
    assert set(frame.loc[frame["measure"] == RERANKER_MEASURE, "setting"]) == {DROPOUT}
    for one in frame[frame["measure"] == MEASURE].itertuples():
        (run,) = folder.glob(f"jobs/*/{one.stage}/output/valid.run")
        values = ir_measures.iter_calc([ir_measures.RR @ 10], judged, ir_measures.read_trec_run(str(run)))
        assert one.score == pytest.approx(sum(value.value for value in values) / len(qrels), abs=1e-4)
    assert "best learning rate, mean of random, base, simlm-1: " in tables.printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": ("simlm",)}, "--rows: every row gets the same trials"),
        ({"publish": True}, "--publish: figures of the smoke scale mean nothing"),
        ({"scale": "mini", "precision": "float32", "publish": True}, "--publish: a scale has one file of trials"),
        ({"scale": "paper"}, "the scale paper tunes nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        tuning.run(Options(**{"scale": "smoke", "results": tmp_path / "results"} | options))
    assert not list(tmp_path.iterdir())
