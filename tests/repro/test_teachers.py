"""A re-ranked run's logits beside the authors' teacher scores, in a replica of their archive."""

from pathlib import Path

import numpy as np
import pytest

from repro.agreement import compared_scores
from simlm.data.readers import File
from simlm.data.released_archive import DISTILLATION, authors_scores
from simlm.retrieval.runs import write_rankings
from tests.data.released import also, distillation


@pytest.fixture(params=[True, False])
def scores(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    """kd_dev.jsonl: query n has passage n with 4.12345, and n + 3, n + 1, n + 2 with 1.5, -2.25, -3."""
    found = authors_scores(also(tmp_path, DISTILLATION, distillation(), request.param), "test")
    assert found is not None
    return found


def run(folder: Path, rankings: dict[str, list[tuple[str, float]]]) -> Path:
    rows = [
        (query, [id for id, _ in found], np.array([score for _, score in found], np.float32))
        for query, found in rankings.items()
    ]
    write_rankings(folder / "run", rows, "run")
    return folder / "run"


def test_only_re_ranked_places_that_both_scored_count(scores: File, tmp_path: Path) -> None:
    path = run(
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
    path = run(tmp_path, {"1": [("1", 4.12345), ("4", 1.5), ("2", -2.25), ("3", -3.0)]})
    said = compared_scores(scores, path, 200, "SimLM, re-ranker")
    assert "tau within a query 1.000" in said and "100.0%" in said and "difference 0.0000" in said


def test_nothing_in_common_is_no_sentence(scores: File, tmp_path: Path) -> None:
    assert compared_scores(scores, run(tmp_path, {"0": [("20", 1.0), ("21", 0.0)]}), 200, "x") == ""
