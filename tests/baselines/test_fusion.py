from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from baselines.fusion import fuse, scaled, tune
from baselines.stages import Fusion
from simlm.retrieval.runs import Run
from tests.retrieval.names import Names

EMPTY = -np.inf


def run(indices: list[list[int]], scores: list[list[float]]) -> Run:
    names = [f"q{number}" for number in range(len(indices))]
    return Run(names, np.array(indices), np.array(scores, dtype=np.float32))


FIRST = run([[0, 1, 2], [5, -1, -1], [-1, -1, -1]], [[10, 8, 6], [3, EMPTY, EMPTY], [EMPTY] * 3])
SECOND = run([[2, 3], [5, 4], [-1, -1]], [[0.9, 0.1], [0.5, 0.5], [EMPTY, EMPTY]])


def test_scaling_by_hand() -> None:
    np.testing.assert_array_equal(scaled(FIRST), [[1, 0.5, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(scaled(SECOND), [[1, 0], [1, 1], [0, 0]])


def test_fusion_by_hand() -> None:
    got = fuse(FIRST, SECOND, 0.25, 4)
    # query 0: 0 -> .25, 1 -> .125, 2 -> 0 + .75, 3 -> 0; query 1: 5 -> .25 + .75, 4 -> .75
    assert got.indices.tolist() == [[2, 0, 1, 3], [5, 4, -1, -1], [-1, -1, -1, -1]]
    np.testing.assert_array_equal(got.scores, [[0.75, 0.25, 0.125, 0], [1, 0.75, EMPTY, EMPTY], [EMPTY] * 4])
    assert fuse(FIRST, SECOND, 0.25, 1).indices.tolist() == [[2], [5], [-1]]


def test_equal_fused_scores_go_by_passage() -> None:
    assert fuse(FIRST, SECOND, 0.5, 4).indices[0].tolist() == [0, 2, 1, 3]


def test_a_fused_run_keeps_its_inputs() -> None:
    before = FIRST.scores.copy(), SECOND.scores.copy()
    fuse(FIRST, SECOND, 0.5, 3)
    np.testing.assert_array_equal(FIRST.scores, before[0])
    np.testing.assert_array_equal(SECOND.scores, before[1])


def test_tuning_measures_every_weight() -> None:
    names = Names([f"p{number}" for number in range(6)])
    qrels = {"q0": {"p2": 1}, "q1": {"p4": 1}, "q2": {"p0": 1}}
    trials = tune(FIRST, SECOND, names, qrels, [0.0, 0.25, 1.0])
    # weight 0: p2 first; p4 and p5 tie, p4 by index. 0.25: p2 first, p4 second. 1: p2 third (0.0), p4 second.
    assert trials == [
        (0.0, pytest.approx((1 + 1) / 3)),
        (0.25, pytest.approx((1 + 1 / 2) / 3)),
        (1.0, pytest.approx((1 / 3 + 1 / 2) / 3)),
    ]


def test_what_can_not_be_fused() -> None:
    with pytest.raises(ValueError, match="same queries"):
        fuse(FIRST, Run(["x", "y", "z"], SECOND.indices, SECOND.scores), 0.5, 3)
    with pytest.raises(ValueError, match="outside"):
        fuse(FIRST, SECOND, 1.5, 3)


def test_every_test_split_is_fused_with_the_weight_that_is_best_on_valid() -> None:
    other = run([[4, 2], [0, 3], [1, 2]], [[4, 2], [7, 5], [9, 1]])
    dense = {"valid": FIRST, "test": SECOND, "trec-dl-2019": other}
    lexical = {"valid": SECOND, "test": FIRST, "trec-dl-2019": FIRST}
    left: dict[str, Run] = {}

    def leave(split: str, found: Run, collection: Any) -> dict[str, float]:
        left[split] = found
        return {f"{split} RR@10": 0.5}

    passages = SimpleNamespace(ids=Names([f"p{number}" for number in range(6)]))
    # What is related only (grade 1) chooses no weight where passages are relevant from grade 2 on.
    qrels = {"valid": {"q0": {"p2": 2, "p0": 1}, "q1": {"p4": 2}, "q2": {"p0": 2}}}
    source = SimpleNamespace(qrels=qrels.__getitem__, relevant_grade=lambda split: 2)
    stage: Any = SimpleNamespace(
        data=SimpleNamespace(open=lambda: SimpleNamespace(passages=passages), source=lambda: source),
        dense=SimpleNamespace(load=dense.__getitem__),
        lexical=SimpleNamespace(load=lexical.__getitem__),
        weights=[0.25, 0.0, 1.0],
        depth=4,
        splits=["test", "trec-dl-2019"],
        leave=leave,
    )
    figures = Fusion.run(stage)
    assert figures["weight"] == 0.0 and list(left) == stage.splits
    assert {"test RR@10", "trec-dl-2019 RR@10"} < set(figures)
    for split, found in left.items():  # weight 0: the order is the lexical run's, what only the other has comes last
        for row, ids in enumerate(lexical[split].indices.tolist()):
            kept = [id for id in ids if id >= 0]
            assert set(kept) <= set(found.indices[row].tolist())
            if len(kept) > 1:
                assert found.indices[row, 0] == kept[0]
