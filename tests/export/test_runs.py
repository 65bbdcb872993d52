"""Exported runs say what the stage's run file says."""

from pathlib import Path

import numpy as np
import pytest

from simlm.errors import UserError
from simlm.export.runs import write_runs
from simlm.retrieval.runs import Run, read_run, write_run
from tests.retrieval.names import Names

NAMES = Names(["p0", "p1", "p2", "p3"])
RUN = Run(
    ["a", "b", "c"],
    np.array([[3, 0, 2], [1, -1, -1], [-1, -1, -1]]),
    np.array([[0.1, 0.1, -7.25], [1e-9, -np.inf, -np.inf], [-np.inf] * 3], dtype=np.float32),
)


def test_both_files_are_the_run(tmp_path: Path) -> None:
    source = tmp_path / "stage" / "test.run"
    write_run(source, RUN, NAMES, "dense")
    write_runs({"test": source}, tmp_path)
    assert (tmp_path / "test.trec").read_bytes() == source.read_bytes()
    again = read_run(tmp_path / "test.trec", RUN.query_ids, NAMES)
    ranked = [(q, p) for q in range(3) for p in again.indices[q].tolist() if p >= 0]
    assert ranked == [(0, 0), (0, 3), (0, 2), (1, 1)]  # equal scores by passage index

    lines = (tmp_path / "test.msmarco.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    assert [(query, passage) for query, passage, _, _ in rows] == [(RUN.query_ids[q], f"p{p}") for q, p in ranked]
    assert [int(rank) for _, _, rank, _ in rows] == [1, 2, 3, 1]
    scores = np.array([float(score) for *_, score in rows], dtype=np.float32)
    assert np.array_equal(scores, again.scores[again.indices >= 0])


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("a Q0 p0 1 0.5 dense\na Q0 p1 2 much dense\n")
    with pytest.raises(UserError, match=r"a\.run:2: not a line of a TREC run"):
        write_runs({"test": tmp_path / "a.run"}, tmp_path)
