"""Tables 7, 8, 10, 12: their rows are the paper's, each start is what its name says, and the commands run in small."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations.starts import OBJECTIVES, OWN_RATES, RATES, SAMPLED, STARTS, rates_name
from repro.cells import Cells
from repro.published import published
from repro.table import Table
from repro.table7 import table7
from repro.table8 import OWN, table8
from repro.table10 import table10
from repro.table12 import table12
from simlm.data.collections import open_collection
from simlm.pretraining.objective import find_objective
from simlm.scales import NAMES, open_scale
from simlm.stages.models import Pretrained
from simlm.stages.pipeline import Pipeline
from simlm.stages.plan import Planned, plan
from tests.repro.commands import ROOT, Results


def planned(table: Table, folder: Path) -> dict[str, Planned]:
    """The stages of a table by name."""

    def build(submit: Any) -> None:
        cells = Cells(open_scale("smoke"), 0, submit)
        for row in table.rows:
            row.run(cells)

    stages, _ = plan(build, folder)
    assert len({stage.name for stage in stages}) == len(stages), "the report lists stages by name"
    return {stage.name: stage for stage in stages}


def test_table_7_has_the_papers_rows_in_its_order_of_quality_and_three_more() -> None:
    frame = published("table7").sort_values("mrr10", ascending=False)
    table = table7()
    assert [row.published["mrr10"] for row in table.rows if row.published] == list(frame["mrr10"])
    assert {row.key for row in table.rows if row.published is None} == {"random", "retromae", "cocondenser"}
    assert [(order.higher, order.lower) for order in table.orders] == [
        (higher.key, lower.key) for higher, lower in zip(table.rows[:6], table.rows[1:7], strict=True)
    ]


def test_table_8_has_the_papers_pairs_and_only_lower_ones_are_expected_below_its_own() -> None:
    frame = published("table8")
    table = table8()
    assert [row.published["mrr10"] for row in table.rows if row.published] == list(frame["mrr10"])
    assert list(zip(frame["encoder_replace_rate"], frame["decoder_replace_rate"], strict=True)) == [
        (round(100 * encoder), round(100 * decoder)) for encoder, decoder in RATES
    ]
    assert OWN in {row.key for row in table.rows}
    assert {order.lower for order in table.orders} == {"simlm-15-15", "simlm-15-30", "simlm-30-30", "simlm-30-100"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_gets_a_generator_if_it_needs_one(name: str, tmp_path: Path) -> None:
    assert find_objective(OBJECTIVES[name]).needs_generator == (name in SAMPLED)
    _, start = plan(lambda submit: STARTS[name](Pipeline(open_scale("smoke"), 0, submit)), tmp_path)
    assert isinstance(start, Pretrained)
    assert start.objective == OBJECTIVES[name] and (start.generator is not None) == (name in SAMPLED)


def test_table_12_has_the_papers_rows_and_their_generators(tmp_path: Path) -> None:
    table = table12()
    assert [row.published["mrr10"] for row in table.rows if row.published] == list(published("table12")["mrr10"])
    stages = planned(table, tmp_path)
    starts = {row.key: stages[f"{'SimLM' if row.key == 'simlm' else row.key} pre-training"] for row in table.rows}
    generators = {key: stage.inputs["generator"].name for key, stage in starts.items()}
    assert generators == {"simlm": "generator (MLM)", "joint": "generator (MLM)", "joint-random": "random generator"}


def test_table_10_has_the_papers_rows_on_both_halves() -> None:
    frame = published("table10").set_index("pretraining_corpus")
    stands_for = {"life": "MS-MARCO", "auto": "Wikipedia", "none": "none"}
    columns = {"life": ["ms_marco_mrr10", "ms_marco_r1k"], "auto": ["nq_r20", "nq_r100"]}
    table = table10()
    assert len(table.rows) == 6
    for row in table.rows:
        searched, corpus = row.key.split("-on-")
        expected = frame.loc[stands_for[corpus], columns[searched]].to_dict()
        assert row.group == searched and row.published == expected
        assert ("(matching)" in row.label) == (searched == corpus)
    for group in table.groups:
        rows = [row for row in table.rows if row.group == group.key]
        assert set(group.baselines) == {row.key for row in rows[1:]}
        assert list(rows[0].published or {}) == [column.key for column in group.columns]
    for order in table.orders:
        figures = [next(row.published for row in table.rows if row.key == key) for key in (order.lower, order.higher)]
        assert figures[0] and figures[1] and all(figures[0][key] < figures[1][key] for key in figures[0])


def test_table_10_shares_tokenizer_base_and_generator_and_differs_in_the_corpora(tmp_path: Path) -> None:
    stages = planned(table10(), tmp_path)
    assert len(stages) == 24
    for half in ("life", "auto"):
        assert stages[f"collection, {half}"].inputs["whole"] is stages["collection"]
        pretrained = {name: stage.name for name, stage in stages[f"SimLM pre-training, {half}"].inputs.items()}
        assert pretrained == {"data": f"collection, {half}", "start": "base (MLM)", "generator": "generator (MLM)"}
        for name in ("base", "simlm-on-life", "simlm-on-auto"):
            fine_tuned = stages[f"Retriever1 ({name}), {half}"].inputs
            assert fine_tuned["data"] is stages[f"collection, {half}"]
            assert fine_tuned["negatives"] is stages[f"BM25, {half}"]
            corpus = name.removeprefix("simlm-on-")
            assert fine_tuned["start"] is stages["base (MLM)" if name == "base" else f"SimLM pre-training, {corpus}"]
    whole = planned(table7(), tmp_path)
    for name in ("collection", "random init", "base (MLM)", "generator (MLM)"):
        assert stages[name].job == whole[name].job
    assert stages["SimLM pre-training, life"].job != whole["SimLM pre-training"].job


@pytest.mark.parametrize("scale", NAMES)
def test_the_papers_own_rates_are_those_of_every_scale(scale: str) -> None:
    settings = open_scale(scale).pretraining
    assert (settings.encoder_rate, settings.decoder_rate) == OWN_RATES


@pytest.mark.parametrize("rates", [rates for rates in RATES if rates != OWN_RATES])
def test_a_start_at_other_rates_differs_from_simlm_in_them_only(rates: tuple[float, float], tmp_path: Path) -> None:
    def build(submit: Any) -> tuple[Any, Any]:
        pipeline = Pipeline(open_scale("smoke"), 0, submit)
        return STARTS[rates_name(*rates)](pipeline), pipeline.simlm

    _, (start, simlm) = plan(build, tmp_path)
    assert (start.settings.encoder_rate, start.settings.decoder_rate) == rates
    for name in simlm.settings.__xpmtype__.arguments:
        if name not in ("encoder_rate", "decoder_rate"):
            assert getattr(start.settings, name) is getattr(simlm.settings, name)


@pytest.mark.parametrize("table", [table7(), table8(), table12()], ids=lambda table: table.name)
def test_rows_differ_in_their_pretraining_only(table: Table, tmp_path: Path) -> None:
    stages = planned(table, tmp_path)
    trained = [stage for stage in stages.values() if stage.name.endswith(")") and "Retriever1" in stage.name]
    assert len(trained) == len(table.rows)
    shared = {(stage.inputs["data"].job, stage.inputs["negatives"].job) for stage in trained}
    assert len(shared) == 1 and len({stage.inputs["start"].job for stage in trained}) == len(trained)


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (table7(), ("simlm", "retromae")),
        (table8(), ("simlm-30-50", "simlm-30-100")),
        (table12(), ("simlm", "joint")),
    ],
    ids=lambda one: one.name if isinstance(one, Table) else "",
)
def test_the_command_shares_what_another_table_made(
    table: Table, rows: tuple[str, ...], smoke: Results, tmp_path: Path
) -> None:
    copy = smoke.copy(tmp_path / "results")
    command = [sys.executable, "-m", f"repro.{table.name}", "--scale", "smoke", "--rows", *rows, "--results"]
    ran = subprocess.run([*command, str(copy.folder)], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "SimLM pre-training" not in ran.stderr and ran.stderr.count(": running") == 3
    (page,) = copy.folder.glob(f"smoke/*/{table.name}.md")
    assert all(row.label in page.read_text() for row in table.chosen(rows))


def test_table_10_compares_rows_on_the_half_they_were_evaluated_on(smoke: Results, tmp_path: Path) -> None:
    copy = smoke.copy(tmp_path / "results")
    rows = ("life-on-auto", "life-on-none", "auto-on-auto")
    command = [sys.executable, "-m", "repro.table10", "--scale", "smoke", "--rows", *rows, "--results"]
    ran = subprocess.run([*command, str(copy.folder)], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "base (MLM): running" not in ran.stderr and ran.stderr.count(": running") == 13
    (twin,) = copy.folder.glob("smoke/*/table10.json")
    report = json.loads(twin.read_text(encoding="utf-8"))
    assert {row["key"]: row["group"] for row in report["rows"]} == {key: key[:4] for key in rows}
    assert [(claim["lower"], claim["higher"]) for claim in report["claims"]] == [("life-on-none", "life-on-auto")]
    assert all(one["row"][:4] == one["baseline"][:4] == "life" for one in report["comparisons"])
    for row in report["rows"]:
        collection = open_collection(f"insuranceqa-smoke-{row['group']}")
        qrels = collection.qrels("test")
        run = pd.read_csv(copy.folder / row["run"]["path"], sep=" ", header=None, dtype=str)
        top = run.groupby(0).head(20)
        found = {query for query, passage in zip(top[0], top[2], strict=True) if passage in qrels[query]}
        if row["group"] == "auto":
            assert row["measured"]["Success@20"]["mean"] == pytest.approx(len(found) / len(qrels))
        assert set(run[2]) <= {passage.id for passage in collection.passages()}
    (whole,) = copy.folder.glob(
        "jobs/*/" + next(one["identifier"] for one in report["stages"] if one["name"] == "collection")
    )
    vocabulary = (whole / "output" / "store" / "tokenizer" / "tokenizer.json").read_bytes()
    for part in ("collection, life", "collection, auto"):
        (job,) = copy.folder.glob(
            "jobs/*/" + next(one["identifier"] for one in report["stages"] if one["name"] == part)
        )
        assert (job / "output" / "store" / "tokenizer" / "tokenizer.json").read_bytes() == vocabulary
