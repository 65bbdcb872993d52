"""Measures of run files: values worked out by hand, trec_eval's own, and every bad run file."""

import math
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from ir_measures import AP, RR, P, R, nDCG
from ir_measures.measures import Measure

from simlm.errors import UserError
from simlm.evaluation.measures import evaluate


def write(path: Path, rankings: dict[str, list[str]]) -> Path:
    with path.open("w", encoding="utf-8") as run:
        for query_id, passages in rankings.items():
            for rank, passage_id in enumerate(passages, start=1):
                run.write(f"{query_id} Q0 {passage_id} {rank} {100 - rank / 8} test\n")
    return path


def test_values_worked_out_by_hand(tmp_path: Path) -> None:
    rankings = {
        "late": [f"n{i}" for i in range(10)] + ["r1"],  # first relevant passage at rank 11
        "second": ["n", "r1", "r2", "m"],
        "deep": [f"n{i}" for i in range(50)] + ["r1"],  # at rank 51
        "unjudged": ["r1"],
    }
    qrels = {
        "late": {"r1": 1},
        "second": {"r1": 1, "r2": 1, "r3": 1},
        "deep": {"r1": 1, "r2": 1},
        "missing": {"r1": 1},
    }
    values = evaluate(write(tmp_path / "run.trec", rankings), qrels)

    assert list(values.index) == list(qrels)
    assert list(values.columns) == ["RR@10", "R@50", "R@1000", "nDCG@10"]
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    gain = 1 / math.log2(3) + 1 / math.log2(4)
    assert values.loc["late"].tolist() == [0, 1, 1, 0]
    assert values.loc["second"].tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 3, gain / ideal])
    assert values.loc["deep"].tolist() == [0, 0, 0.5, 0]
    assert values.loc["missing"].tolist() == [0, 0, 0, 0]


def test_agrees_with_trec_eval_on_random_runs(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    rankings = {f"{q}": [f"p{i}" for i in generator.permutation(300)[:200]] for q in range(40)}
    qrels = {
        f"{q}": {f"p{i}": int(generator.integers(0, 4)) for i in generator.permutation(300)[:30]} for q in range(42)
    }
    path = write(tmp_path / "run.trec", rankings)
    values = evaluate(path, qrels)

    with path.open(encoding="utf-8") as lines:
        run = pytrec_eval.parse_run(lines)
    names = {"R@50": "recall_50", "R@1000": "recall_1000", "nDCG@10": "ndcg_cut_10"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank", *names.values()}).evaluate(run)
    for query_id in rankings:
        for ours, name in names.items():
            assert values.at[query_id, ours] == pytest.approx(theirs[query_id][name], abs=1e-12)
        reciprocal = theirs[query_id]["recip_rank"]
        assert values.at[query_id, "RR@10"] == pytest.approx(reciprocal if reciprocal >= 0.1 else 0)
    assert (values.loc[["40", "41"]] == 0).all().all()


@pytest.mark.parametrize("measure", [nDCG, AP, nDCG(judged_only=True) @ 5, R(rel=2) @ 20, RR(rel=2) @ 7, P @ 5])
def test_leaving_out_what_does_not_count_changes_no_value(tmp_path: Path, measure: Measure) -> None:
    generator = np.random.default_rng(4)
    rankings = {f"q{q}": [f"p{i}" for i in generator.permutation(80)[:60]] for q in range(10)}
    qrels = {
        f"q{q}": {f"p{i}": int(generator.integers(0, 4)) for i in generator.permutation(80)[:20]} for q in range(10)
    }
    path = write(tmp_path / "run.trec", rankings)
    whole = ir_measures.iter_calc([measure], qrels, ir_measures.read_trec_run(str(path)))
    values = evaluate(path, qrels, [measure])[str(measure)]
    assert values.to_dict() == pytest.approx({metric.query_id: metric.value for metric in whole})


def test_identifiers_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "run.trec", {"007": ["01", "1"], "NA": ["null", "nan"]})
    values = evaluate(path, {"007": {"1": 1}, "NA": {"null": 1}, "7": {"01": 1}})
    assert values["RR@10"].tolist() == [0.5, 1, 0]
    path = write(tmp_path / "digits.trec", {"007": ["01", "1"], "7": ["1", "01"]})
    values = evaluate(path, {"007": {"1": 1}, "7": {"1": 1}})
    assert values["RR@10"].tolist() == [0.5, 1]


GOOD = "q1 Q0 p1 1 2.5 tag\nq1 Q0 p2 2 2.0 tag\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "q1 Q0 p3 3 2.0 tag\n", "line 3: scores within"),
        (GOOD + "q1 Q0 p3 3 nan tag\n", "line 3: not a line"),
        # float32, which trec_eval keeps, cannot tell these two apart
        (GOOD + "q1 Q0 p3 3 1.00000001 tag\nq1 Q0 p4 4 1.0 tag\n", "line 4: scores within"),
        (GOOD + "q2 Q0 p1 1 9 tag\nq1 Q0 p4 3 1.0 tag\n", "line 4: query q1 appears again"),
        (GOOD + "q1 Q0 p1 3 1.0 tag\n", "line 3: passage p1 is listed twice"),
        (GOOD + "q1 Q0 p3 3 1.0\n", "line 3: not a line"),
        (GOOD + "q1 Q0 p3 3 high tag\n", "line 3: not a line"),
        (GOOD + "q1 Q0 p3 3 1.0 tag more\n", "line 3: not a line"),
        ("q1 Q0 p3 3 1.0 tag more\n" + GOOD, "line 1: not a line"),
    ],
)
def test_a_bad_run_is_refused_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        evaluate(path, {"q1": {"p1": 1}})
    assert "run.trec" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_of_queries_without_a_hit_counts_0(tmp_path: Path) -> None:
    path = write(tmp_path / "run.trec", {})
    assert evaluate(path, {"q1": {"p1": 1}, "q2": {"p1": 1}}).to_numpy().tolist() == [[0.0] * 4] * 2


def test_invalid_utf8_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_bytes(GOOD.encode() + b"q1 Q0 \xff 3 1.0 tag\n")
    with pytest.raises(UserError, match="line 3"):
        evaluate(path, {"q1": {"p1": 1}})
    with pytest.raises(UserError, match="no such run file"):
        evaluate(tmp_path / "none.trec", {"q1": {"p1": 1}})


def test_no_judgements_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(UserError, match="no relevance judgements"):
        evaluate(path, {})
