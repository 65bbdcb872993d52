"""Rows that stand on the public start of mini's re-ranker: their notes, and the orders that they are in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.model import CONFOUNDED, CheckedOrder, Comparison, Report
from reports.render import render
from repro.pipeline_runs import PipelineRuns
from repro.public_start import confounded, noted, public_start
from simlm.scales import open_scale
from simlm.scales.minilm import MINILM, REPOSITORY
from simlm.stages.runs import RunStage
from simlm.workflow.plan import plan
from tests.minilm import install


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
    assert ("2 confounded: public start. Confounded: a row stands on a public model" in render(report, "table2")) == (
        there == CONFOUNDED
    )


def test_no_table_of_stand_ins_stands_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch)

    def build(submit: Any) -> list[RunStage]:
        made = PipelineRuns(open_scale("mini"), 0, submit)
        return [made.reranked(start) for start in ("electra", "simlm", "base")]

    assert public_start(plan(build, tmp_path / "results")[1]) is None
