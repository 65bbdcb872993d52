"""What reports say of stages that learnt nothing: from the logs alone, by the rows that stand on them."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from reports.assess import Order
from reports.model import CheckedOrder, Comparison, Report
from reports.render import render
from repro.pipeline_runs import PipelineRuns
from repro.training_diagnostics import below, below_random, untrained_teacher, voided, warnings
from simlm.scales import open_scale
from simlm.stages import learning
from simlm.stages.learning import Ranking, last, ranking, words
from simlm.workflow.plan import job_of, plan
from simlm.workflow.stage import Stage

ENTROPY = 6.0


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    """Planned runs of smoke scale, whose logs a test writes."""
    monkeypatch.setattr(learning, "unigram_entropy", lambda folder, length: ENTROPY)

    def build(submit: Any) -> dict[str, Stage]:
        cells = PipelineRuns(open_scale("smoke"), 0, submit)
        runs = {"BM25": cells.bm25(), "MLM": cells.retriever1("mlm"), "two sides": cells.retriever1("enc-dec-mlm")}
        runs["base"] = cells.retriever1("base-mlm")
        return runs | {"distilled": cells.distilled("simlm"), "re-ranked": cells.reranked()}

    stages, runs = plan(build, tmp_path / "results")
    names.clear()
    names.update({stage.job: stage.name for stage in stages})
    return dict(runs)


names: dict[Path, str] = {}


def write_log(row: Stage, name: str, *entries: dict[str, float]) -> Any:
    """Leave a log with the stage of that name below a row, which is returned."""
    (stage,) = [one for job, one in below(row).items() if names[job] == name]
    output = job_of(stage) / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "losses.json").write_text(json.dumps(entries), encoding="utf-8")
    return stage


def steps(*losses: float, **others: float) -> list[dict[str, float]]:
    return [{"step": step, "loss": loss, **others} for step, loss in enumerate(losses)]


def test_the_last_loss_is_the_mean_of_the_last_tenth() -> None:
    log = steps(*range(80))
    assert last(log, "loss") == pytest.approx(sum(range(72, 80)) / 8) and last(log, "other") is None
    assert last(log[:20], "loss") == pytest.approx(17) and last(log[:3], "loss") == 1


@pytest.mark.parametrize(
    ("loss", "accuracy", "nothing"),
    [(1.0, 0.25, True), (1.1, 0.05, True), (0.99, 0.25, True), (0.97, 0.25, False), (1.0, 0.5, False)],
)
def test_a_re_ranker_has_learnt_when_its_loss_or_its_accuracy_left_chance(
    loss: float, accuracy: float, nothing: bool
) -> None:
    outcome = Ranking(loss * math.log(3), 3, accuracy, 4, 100, 2)
    assert outcome.learnt_nothing == nothing and outcome.accuracy_by_chance == 0.25


def test_the_highest_of_more_accuracies_has_to_be_higher() -> None:
    at = {count: Ranking(math.log(3), 3, 0.33, 4, 100, count).learnt_nothing for count in (1, 10)}
    assert at == {1: False, 10: True}


def test_a_re_ranker_at_chance_is_told_with_its_figures_and_the_rows_that_stand_on_it(rows: dict[str, Stage]) -> None:
    settings = open_scale("smoke").reranker
    kept, passages = settings.kept_passages, settings.passages_on_valid
    log = [*steps(3.0, *[math.log(kept)] * 5), {"step": 2, "eval_accuracy": 0.0}, {"step": 4, "eval_accuracy": 0.01}]
    stage = write_log(rows["re-ranked"], "re-ranker", *log)
    outcome = ranking(stage)
    assert outcome is not None and outcome.loss == pytest.approx(outcome.chance) and outcome.accuracy == 0.01
    (said,) = warnings(rows, names)
    assert said.startswith(f"re-ranker: the training loss ended at {math.log(kept):.4f}, chance is ln({kept}) = ")
    assert f"1/{passages} = {1 / passages:.3f}" in said and "(distilled; re-ranked) says nothing" in said
    reason = untrained_teacher([rows["BM25"], rows["distilled"]], names)
    assert reason is not None and reason in said
    assert untrained_teacher([rows["BM25"], rows["MLM"]], names) is None
    write_log(rows["re-ranked"], "re-ranker", *log[:-1], {"step": 4, "eval_accuracy": 0.99})
    (said,) = warnings(rows, names)
    assert "learnt little" in said and "0.990" in said and untrained_teacher(rows.values(), names) is None
    write_log(rows["re-ranked"], "re-ranker", *log[:-2], {"step": 4, "loss": 0.5 * math.log(kept)}, log[-1])
    assert warnings(rows, names) == [] and untrained_teacher(rows.values(), names) is None


@pytest.mark.parametrize(("mrr", "told"), [(0.49, True), (0.5, True), (0.51, False), (None, False)])
def test_a_re_ranker_that_is_not_above_its_retriever_does_not_teach(
    rows: dict[str, Stage], monkeypatch: pytest.MonkeyPatch, mrr: float | None, told: bool
) -> None:
    entries = [*steps(*[0.1] * 5), {"step": 2, "eval_accuracy": 0.5}]
    stage = write_log(rows["re-ranked"], "re-ranker", *entries)
    numbers = {"mrr": mrr, "retriever_mrr": 0.5}
    monkeypatch.setattr(learning, "read_manifest", lambda job: {"numbers": numbers} if job == job_of(stage) else None)
    said = warnings(rows, names)
    assert len(said) == told and untrained_teacher(rows.values(), names) is None
    if mrr is not None and told:
        assert said[0].startswith("re-ranker: it does not teach. Over 16 questions of valid with 16 candidates each")
        assert f" is {mrr:.3f} by its scores and 0.500 by " in said[0]
        assert said[0].endswith("On it stand: distilled; re-ranked.")


def test_a_re_ranker_without_a_log_is_not_spoken_of(rows: dict[str, Stage]) -> None:
    assert warnings(rows, names) == [] and untrained_teacher(rows.values(), names) is None


def test_a_pretraining_at_the_words_entropy_is_told_a_side_with_its_rows(rows: dict[str, Stage]) -> None:
    write_log(rows["MLM"], "mlm pre-training", *steps(9.0, *[5.95] * 5))
    two = write_log(rows["two sides"], "enc-dec-mlm pre-training", *steps(12.1, encoder_loss=5.9, decoder_loss=6.2))
    base = write_log(rows["base"], "base (MLM)", *steps(9.0, *[4.0] * 5))
    found = words(two)
    assert found is not None and found.loss == pytest.approx(6.05) and found.sides == 2
    assert (learned := words(base)) is not None and not learned.learnt_nothing
    said = dict(one.split(": ", 1) for one in warnings(rows, names))
    assert set(said) == {"mlm pre-training", "enc-dec-mlm pre-training"}
    assert "ended at 5.950 nats; " in said["mlm pre-training"] and said["mlm pre-training"].endswith("stand: MLM.")
    assert "6.050 nats, the mean of its 2 sides" in said["enc-dec-mlm pre-training"]
    assert all(f"gives {ENTROPY:.3f}" in one for one in said.values())


def test_what_sees_most_of_the_words_is_not_compared_with_their_entropy(
    rows: dict[str, Stage],
) -> None:
    log = steps(12.0, encoder_loss=6.0, decoder_loss=6.0)
    assert words(write_log(rows["distilled"], "SimLM pre-training", *log)) is None


@pytest.mark.parametrize(("difference", "p", "told"), [(0.01, 0.5, True), (-0.01, 0.5, True), (-0.1, 0.01, False)])
def test_a_base_that_is_not_above_random_is_told(report: Report, difference: float, p: float, told: bool) -> None:
    measure = report.measures[0]
    made = Comparison("random", "base", measure, difference, difference - 0.02, difference + 0.02, p, p)
    random = dataclasses.replace(report.row("base"), key="random", label="random init")
    changed = dataclasses.replace(report, rows=[*report.rows, random], comparisons=[made])
    said = below_random(changed)
    assert bool(said) == told and all(f"{-difference:+.4f}" in one for one in said)
    assert below_random(report) == []


def test_orders_about_a_re_ranker_that_learnt_nothing_are_void_and_others_stay(
    rows: dict[str, Stage], report: Report
) -> None:
    chance = math.log(open_scale("smoke").reranker.kept_passages)
    write_log(rows["re-ranked"], "re-ranker", *steps(*[chance] * 5), {"step": 5, "eval_accuracy": 0.0})
    runs = {"bm25": rows["BM25"], "base": rows["MLM"], "simlm": rows["distilled"]}
    orders = [Order("bm25", "base", "here", with_teacher=True), Order("base", "simlm", "here", with_teacher=True)]
    orders.append(Order("bm25", "simlm", "here"))
    compared = Comparison("any", "any", "RR@10", 0.1, 0.05, 0.15, 0.001, 0.001)
    checked = [CheckedOrder(one.lower, one.higher, "here", None, None, compared, None) for one in orders]
    report.claims = voided(checked, orders, runs, names)
    assert [claim.verdict for claim in report.claims] == ["reproduced", "not testable at this scale", "reproduced"]
    page = render(report, "table2")
    assert "2 reproduced; 1 not testable at this scale. Not testable, as the re-ranker learnt nothing: the " in page
    assert report.as_dict()["claims"][1]["void"].startswith("re-ranker: the training loss ended at")
