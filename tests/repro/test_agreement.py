"""Our runs beside the authors': sentences from run files and a replica of the archives, figures by hand."""

import re
from pathlib import Path

import numpy as np
import pytest

from repro.agreement import Ours, compared_runs, compared_scores
from simlm.data.readers import File
from simlm.data.released_archive import DISTILLATION, RERANKER, authors_scores
from simlm.errors import UserError
from simlm.retrieval.runs import write_rankings
from tests.data.released import also, distillation, packed, reranker

BM25 = "".join(f"{query}\t{id}\t{rank}\n" for query in range(5) for rank, id in enumerate((30, 31, query, 32), start=1))
"""Theirs: the relevant passage in place 3."""


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """The archives; of Retriever2's runs the relevant passage is in place 2, re-ranked in place 1."""
    folder = packed(tmp_path / "archives", dev__msmarco__txt=BM25.encode())
    return also(folder, RERANKER, reranker(reranked=True), pack=False)


def ours(folder: Path, name: str, places: list[int]) -> Ours:
    """A run that has the relevant passage of query n in places[n], from 1."""
    rankings = []
    for query, place in enumerate(places):
        ids = [str(20 + other) for other in range(6)]
        ids.insert(place - 1, str(query))
        rankings.append((str(query), ids, -np.arange(len(ids), dtype=np.float32)))
    write_rankings(folder / name, rankings, "run")
    return Ours(folder / name, {str(query): {str(query): 1} for query in range(len(places))})


def test_every_row_stands_beside_its_own_counterpart_and_effects_beside_theirs(archives: Path, tmp_path: Path) -> None:
    places = {"bm25": [4, 4, 4, 2, 4], "simlm-2": [1, 2, 2, 3, 1], "reranker": [1, 1, 1, 1, 2]}
    runs = {name: ours(tmp_path, name, own) for name, own in places.items()}
    bm25, second, reranked, gain, last = compared_runs(archives, "test", runs)
    assert bm25.startswith("BM25 beside the authors' own run (dev.msmarco.txt of msmarco_bm25_official)")
    assert second.startswith("SimLM's Retriever2 beside the authors' own run (dev.msmarco.txt of msmarco_reranker)")
    assert "(rerank.dev.msmarco.txt of msmarco_reranker), by repro-eval over 5 queries" in reranked
    mean = {name: sum(1 / place for place in own) / 5 for name, own in places.items()}
    theirs = {"bm25": 1 / 3, "simlm-2": 1 / 2, "reranker": 1.0}
    for name, sentence in (("bm25", bm25), ("simlm-2", second), ("reranker", reranked)):
        error = (sum((1 / place - theirs[name]) ** 2 for place in places[name]) / 5) ** 0.5
        assert f"root mean square error {error:.4f} RR@10" in sentence
        assert f"means {mean[name]:.4f} RR@10 here and {theirs[name]:.4f} theirs" in sentence
    for sentence, low, high in ((gain, "bm25", "simlm-2"), (last, "simlm-2", "reranker")):
        ratio = (mean[high] - mean[low]) / (theirs[high] - theirs[low])
        assert f"over the 5 queries that all four runs have: {ratio:.2f} RR@10" in sentence
    assert gain.startswith("Effect ratio of SimLM's Retriever2 over BM25, our mean improvement")
    assert last.startswith("Effect ratio of SimLM's re-ranker over SimLM's Retriever2, ")


def test_a_further_split_is_measured_by_its_grades(archives: Path, tmp_path: Path) -> None:
    judged = {f"{2019000 + n}": {str(n + grade): grade for grade in (3, 2, 1, 0)} for n in range(3)}
    rankings = [(query, [str(n + 3), "35"], np.array([2, 1], np.float32)) for n, query in enumerate(judged)]
    write_rankings(tmp_path / "run", rankings, "run")
    (said,) = compared_runs(archives, "trec-dl-2019", {"simlm-2": Ours(tmp_path / "run", judged, 2)})
    assert "on trec-dl-2019 (trec_dl2019.msmarco.txt of msmarco_reranker), by repro-eval over 3 queries" in said
    # Theirs begins with the passages of grades 1, 0, 2, 3; relevant is 2 and more.
    assert re.search(
        r"means [\d.]+ nDCG@10 here and [\d.]+ theirs, 1\.0000 RR\(rel=2\)@10 here and 0\.3333 theirs", said
    )


def test_what_is_not_there_is_not_compared(archives: Path, tmp_path: Path) -> None:
    run = ours(tmp_path, "run", [1, 1])
    assert compared_runs(tmp_path, "test", {"bm25": run}) == []
    assert compared_runs(archives, "trec-dl-2019", {"simlm-2": run}) == [], "no query in common"
    assert compared_runs(archives, "test", {"another": run}) == []


def test_a_damaged_run_is_named_with_its_line(archives: Path, tmp_path: Path) -> None:
    (archives / RERANKER / "dev.msmarco.txt").write_text("0\t5\t1\t0.9\n0\t6\t3\t0.8\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"dev\.msmarco\.txt:2: rank 3 where 2 has to be"):
        compared_runs(archives, "test", {"simlm-2": ours(tmp_path, "run", [1])})


@pytest.fixture(params=[True, False])
def scores(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    """kd_dev.jsonl: query n has passage n with 4.12345, and n + 3, n + 1, n + 2 with 1.5, -2.25, -3."""
    found = authors_scores(also(tmp_path, DISTILLATION, distillation(), request.param), "test")
    assert found is not None
    return found


def reranked(folder: Path, rankings: dict[str, list[tuple[str, float]]]) -> Path:
    rows = [
        (query, [id for id, _ in found], np.array([score for _, score in found], np.float32))
        for query, found in rankings.items()
    ]
    write_rankings(folder / "run", rows, "run")
    return folder / "run"


def test_only_re_ranked_places_that_both_scored_count(scores: File, tmp_path: Path) -> None:
    path = reranked(
        tmp_path,
        {
            "0": [("0", 5.0), ("30", 4.0), ("3", 2.0), ("1", -7.0)],  # the last is not re-ranked, and 30 not theirs
            "2": [("5", 3.0), ("2", 1.0), ("39", 0.0)],
            "4": [("4", 1.0), ("20", 0.5), ("21", 0.2)],  # one passage in common says nothing
            "unknown": [("0", 1.0), ("1", 0.0)],
        },
    )
    errors = []
    for theirs, ours in (((4.12345, 1.5), (5.0, 2.0)), ((1.5, 4.12345), (3.0, 1.0))):
        shift = (sum(ours) - sum(theirs)) / 2
        errors += [(b - a - shift) ** 2 for a, b in zip(theirs, ours, strict=True)]
    error = (sum(errors) / 4) ** 0.5
    assert compared_scores(scores, path, 3, "SimLM, re-ranker") == (
        "SimLM, re-ranker: its logits beside the authors' teacher scores (kd_dev.jsonl of msmarco_distillation), over "
        "4 passages of 2 queries that both scored: Kendall's tau within a query 0.000, the same passage first for "
        f"50.0% of the queries, root mean square difference {error:.4f}, each query's mean taken off."
    )


def test_the_authors_own_logits_agree_wholly(scores: File, tmp_path: Path) -> None:
    path = reranked(tmp_path, {"1": [("1", 4.12345), ("4", 1.5), ("2", -2.25), ("3", -3.0)]})
    said = compared_scores(scores, path, 200, "SimLM, re-ranker")
    assert "tau within a query 1.000" in said and "100.0%" in said and "difference 0.0000" in said


def test_nothing_in_common_is_no_sentence(scores: File, tmp_path: Path) -> None:
    assert compared_scores(scores, reranked(tmp_path, {"0": [("20", 1.0), ("21", 0.0)]}), 200, "x") == ""
