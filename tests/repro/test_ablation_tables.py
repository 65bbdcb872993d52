"""Tables of ablations: their rows are the paper's, each start is what its name says, and the commands run in small."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations.starts import COMPARED, OWN_RATES, PLMS, RATES, STARTS, rates_name
from repro.figure3 import figure3
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.table import Table
from repro.table1 import table1
from repro.table2 import table2
from repro.table5 import table5
from repro.table6 import table6
from repro.table7 import table7
from repro.table8 import table8
from repro.table10 import table10
from repro.table12 import table12
from repro.tables import TABLES
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.pretraining.objective import find_objective
from simlm.scales import NAMES, open_scale
from simlm.stages.models import Pretrained
from simlm.stages.pipeline import Pipeline
from simlm.workflow.plan import plan
from tests.repro.commands import Results
from tests.repro.planning import planned
from tests.repro.small_tables import ROWS

ORDERS = {"table1": 2, "table5": 2, "table6": 8, "table7": 6, "table8": 4, "table12": 0}
"""How many orders of the paper each table checks."""


@pytest.mark.parametrize("name", ORDERS)
def test_rows_are_the_papers_and_orders_are_those_of_its_figures(name: str) -> None:
    """A row with another's figures would break an order."""
    table = TABLES[name]()
    column = table.columns[0].key
    figures = {row.key: row.published[column] for row in table.rows if row.published}
    assert sorted(figures.values()) == sorted(published(name)[column])
    orders = {(order.higher, order.lower) for order in table.orders}
    assert len(orders) == len(table.orders) == ORDERS[name]
    assert all(figures[higher] > figures[lower] for higher, lower in orders)


def test_table_1_quotes_glue_and_table_7_has_rows_more() -> None:
    assert [(row.published or {})["glue"] for row in table1().rows] == list(published("table1")["glue"])
    assert [column.measure for column in table1().columns] == ["RR@10", ""]
    own = {"random", "retromae", "cocondenser", "seed", "diffcse", "ict", "cropping"}
    assert {row.key for row in table7().rows if row.published is None} == own


def test_re_rankers_of_table_5_differ_in_their_start_only_and_one_of_them_is_table_2s(tmp_path: Path) -> None:
    stages, second = planned(table5(), tmp_path), planned(table2(), tmp_path)
    runs = [stages[name] for name in ("re-ranked run", "re-ranked run (base)", "re-ranked run (electra)")]
    assert runs[0].job == second["re-ranked run"].job
    assert len({run.inputs["candidates"].job for run in runs}) == 1
    trained = [run.inputs["reranker"] for run in runs]
    assert [one.inputs["start"].name for one in trained] == ["SimLM pre-training", "informed start", "ELECTRA (RTD)"]
    assert {one.inputs["candidates"].name for one in trained} == {"Retriever2: runs"}


def test_stand_ins_of_plms_differ_in_their_manner_only(tmp_path: Path) -> None:
    def build(submit: Any) -> list[Any]:
        pipeline = Pipeline(open_scale("smoke"), 0, submit)
        return [STARTS[name](pipeline) for name in PLMS]

    _, (base, roberta, electra) = plan(build, tmp_path)
    assert electra.start is base and electra.data is base.corpus
    assert electra.generator is not None and find_objective(electra.objective).needs_generator
    assert roberta.corpus is roberta.start.data and roberta.start.shape is base.start.shape
    assert (roberta.corpus.algorithm, roberta.corpus.segments) == ("byte-level-bpe", False)
    assert (base.corpus.algorithm, base.corpus.segments) == ("wordpiece", True)
    assert roberta.corpus.vocabulary == base.corpus.vocabulary
    assert roberta.corpus.collection == base.corpus.collection


def test_rows_of_table_1_differ_in_their_model_and_in_its_pieces_only(tmp_path: Path) -> None:
    stages, second = planned(table1(), tmp_path), planned(table2(), tmp_path)
    trained = {row.key: stages[f"Retriever1 ({row.key})"] for row in table1().rows}
    assert trained["base"].job == second["Retriever1 (base)"].job
    assert len({one.inputs["negatives"].job for one in trained.values()}) == 1
    data = {key: one.inputs["data"].name for key, one in trained.items()}
    assert data == {"base": "collection", "roberta": "collection (byte-level BPE)", "electra": "collection"}
    for key, one in trained.items():
        read = one.inputs["start"].inputs  # an informed start's corpus, a pre-training's passages
        assert stages[f"{one.name}: runs"].inputs["data"] is read.get("corpus", read.get("data"))
        assert one.inputs["data"].name == data[key]


def test_a_start_with_pieces_of_its_own_has_no_later_stages() -> None:
    cells = PipelineRuns(open_scale("smoke"), 0, lambda stage, name: None)
    for later in (cells.reranker, cells.distilled):
        with pytest.raises(UserError, match="no stage after Retriever1 can start from 'roberta'"):
            later("roberta")


def test_in_table_6_each_start_mines_its_own_negatives_and_one_teacher_scores_them(tmp_path: Path) -> None:
    stages = planned(table6(), tmp_path)
    for end, start in (("", "simlm"), (" (cocondenser)", "cocondenser")):
        second = stages[f"Retriever2{end}"]
        assert second.inputs["negatives"].name == f"Retriever1 ({start}): runs"
        own = f", {start}'s negatives" if end else ""
        distilled = stages[f"Retriever_distill ({start}){own}"]
        pretraining = "coCondenser" if end else "SimLM"
        assert second.inputs["start"].job == distilled.inputs["start"].job
        assert second.inputs["start"].name.lower() == f"{pretraining} pre-training".lower()
        # What the teacher scored is what the student draws: the same run, lists, seed and number of updates.
        assert distilled.inputs["negatives"].name == f"Retriever2{end}: runs"
        assert distilled.inputs["teacher"].inputs["negatives"].job == distilled.inputs["negatives"].job
        assert distilled.inputs["teacher"].inputs["reranker"].name == "re-ranker"
    assert stages["re-ranker"].inputs["candidates"].name == "Retriever2: runs"


def test_table_6s_stages_of_simlm_are_table_2s_and_cocondensers_first_is_table_7s(tmp_path: Path) -> None:
    ours, second, seventh = (planned(table, tmp_path) for table in (table6(), table2(), table7()))
    names = {name for name in ours if "cocondenser" not in name}
    assert names <= set(second) and all(ours[name].job == second[name].job for name in names)
    for name in ("cocondenser pre-training", "Retriever1 (cocondenser)", "Retriever1 (cocondenser): runs"):
        assert ours[name].job == seventh[name].job


@pytest.mark.parametrize("name", COMPARED)
def test_an_objective_gets_a_generator_if_it_needs_one(name: str, tmp_path: Path) -> None:
    objective = COMPARED[name]
    assert find_objective(objective.path).needs_generator == objective.generator
    _, start = plan(lambda submit: STARTS[name](Pipeline(open_scale("smoke"), 0, submit)), tmp_path)
    assert isinstance(start, Pretrained)
    assert start.objective == objective.path and (start.generator is not None) == objective.generator


def test_table_12_has_the_papers_rows_and_their_generators(tmp_path: Path) -> None:
    table = table12()
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


def test_table_10_begins_with_no_word_of_the_half_that_is_searched(
    tmp_path: Path,
) -> None:
    stages = planned(table10(), tmp_path)
    assert len(stages) == 29
    for half, other in (("life", "auto"), ("auto", "life")):
        assert stages[f"collection, {half}"].inputs["whole"] is stages["collection"]
        base = stages[f"informed start from {other}, {half}"]
        assert base.inputs["corpus"] is stages[f"collection, {other}"]
        assert base.inputs["start"] is stages["random init"]
        for name in ("base", "simlm-on-life", "simlm-on-auto"):
            fine_tuned = stages[f"Retriever1 ({name}), {half}"].inputs
            assert fine_tuned["data"] is stages[f"collection, {half}"]
            assert fine_tuned["negatives"] is stages[f"BM25, {half}"]
            corpus = name.removeprefix("simlm-on-")
            start = base if name == "base" else stages[f"SimLM on {corpus}, {half}"]
            assert fine_tuned["start"] is start
            if name != "base":
                assert start.inputs["start"] is base and start.inputs["data"] is stages[f"collection, {corpus}"]
                assert start.inputs["generator"] is stages["generator (MLM)"]
    whole = planned(table7(), tmp_path)
    for name in ("collection", "random init", "generator (MLM)"):
        assert stages[name].job == whole[name].job


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


@pytest.mark.parametrize("table", [table7(), table8(), table12(), figure3()], ids=lambda table: table.name)
def test_rows_differ_in_their_pretraining_only(table: Table, tmp_path: Path) -> None:
    stages = planned(table, tmp_path)
    trained = [stage for stage in stages.values() if stage.name.endswith(")") and "Retriever1" in stage.name]
    assert len(trained) == len(table.rows)
    shared = {(stage.inputs["data"].job, stage.inputs["negatives"].job) for stage in trained}
    assert len(shared) == 1 and len({stage.inputs["start"].job for stage in trained}) == len(trained)


@pytest.mark.parametrize(("name", "own"), [("table1", 5), ("table5", 3), ("table6", 3), ("table7", 3), ("figure3", 3)])
def test_a_report_has_its_rows_and_shares_what_another_table_made(
    name: str, own: int, tables: Results, smoke: Results
) -> None:
    stages, known = tables.stages(name), smoke.stages("table2")
    assert "SimLM pre-training" in stages or name == "table1"
    assert len(stages.keys() - known.keys()) == own
    assert {one: identifier for one, identifier in stages.items() if one in known}.items() <= known.items()
    page = tables.page(name).read_text(encoding="utf-8")
    assert all(row.label in page for row in TABLES[name]().chosen(ROWS[name]))


def test_what_was_there_before_was_not_made_again(tables: Results, smoke: Results) -> None:
    for manifest in smoke.folder.glob("jobs/*/*/manifest.json"):
        assert (tables.folder / manifest.relative_to(smoke.folder)).read_bytes() == manifest.read_bytes()


def test_table_10_compares_rows_on_the_half_they_were_evaluated_on(tables: Results) -> None:
    report = tables.twin("table10")
    assert {row["key"]: row["group"] for row in report["rows"]} == {key: key[:4] for key in ROWS["table10"]}
    assert [(claim["lower"], claim["higher"]) for claim in report["claims"]] == [("life-on-none", "life-on-auto")]
    assert all(one["row"][:4] == one["baseline"][:4] == "life" for one in report["comparisons"])
    for row in report["rows"]:
        collection = open_collection(f"insuranceqa-smoke-{row['group']}")
        qrels = collection.qrels("test")
        run = pd.read_csv(tables.folder / row["run"]["path"], sep=" ", header=None, dtype=str)
        top = run.groupby(0).head(20)
        found = {query for query, passage in zip(top[0], top[2], strict=True) if passage in qrels[query]}
        if row["group"] == "auto":
            assert row["measured"]["Success@20"]["mean"] == pytest.approx(len(found) / len(qrels))
        assert set(run[2]) <= {passage.id for passage in collection.passages()}
    whole, *halves = (
        (tables.job(name, "table10") / "output" / "store" / "tokenizer" / "tokenizer.json").read_bytes()
        for name in ("collection", "collection, life", "collection, auto")
    )
    assert halves == [whole, whole]
