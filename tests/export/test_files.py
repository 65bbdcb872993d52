"""Run files and the released implementation's files, parsed here by nothing but gzip and json."""

import gzip
import json
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from simlm.data.collection import Passage, Query
from simlm.errors import UserError
from simlm.export.files import write_lists, write_passages, write_qrels, write_queries, write_runs, write_teacher
from simlm.finetuning.negatives import lists_of_split
from simlm.finetuning.teacher import write_teacher_scores
from simlm.retrieval.runs import Run, read_run, write_run
from simlm.scales.settings import NegativesSettings
from tests.export.toys import PASSAGES, QRELS, QUERIES, tokenised, toy_collection
from tests.retrieval.names import Names

RUN = Run(
    ["a", "b", "c"],
    np.array([[4, 0, 2], [0, 5, -1], [-1, -1, -1]]),  # one of a's positives is in the run; c has no run
    np.array([[0.9, 0.8, 0.1], [0.7, 0.6, -np.inf], [-np.inf] * 3], dtype=np.float32),
)
SCORES = {("a", 4): 0.9, ("a", 0): 0.8, ("a", 2): 0.1, ("b", 0): 0.7, ("b", 5): 0.6}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tokenised(tmp_path_factory.mktemp("toy") / "store")


@pytest.fixture(scope="module")
def lists(store: Any) -> Any:
    return lists_of_split(RUN, store, "train", NegativesSettings.C(depth=2, total=3), 7)


def objects(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


def pairs(side: dict[str, Any]) -> dict[int, float]:
    assert all(isinstance(name, str) for name in side["doc_id"])
    return dict(zip(map(int, side["doc_id"]), side["score"], strict=True))


def test_passages_are_numbered_by_line(store: Any, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_passages(tmp_path / name, toy_collection().passages(), store.passages.ids)
    packed = (tmp_path / "one" / "passages.jsonl.gz").read_bytes()
    assert packed == (tmp_path / "other" / "passages.jsonl.gz").read_bytes()
    assert packed[3] == 0 and packed[4:8] == bytes(4)  # neither a file's name nor a time
    rows = [json.loads(line) for line in gzip.decompress(packed).decode("utf-8").splitlines()]
    assert rows == [
        {"id": str(number), "contents": passage.text, "title": passage.title} for number, passage in enumerate(PASSAGES)
    ]
    names = (tmp_path / "one" / "passage_ids.tsv").read_text().splitlines()
    assert names == [f"{number}\tp{number}" for number in range(len(PASSAGES))]


def test_queries_and_qrels(store: Any, tmp_path: Path) -> None:
    for split, released in (("train", "train"), ("valid", "dev"), ("test", "test")):
        ids = store.queries(split).ids
        write_queries(tmp_path, split, QUERIES[split], ids)
        write_qrels(tmp_path / f"{released}_qrels.txt", store.qrels(split), ids, range(len(PASSAGES)))
        rows = [line.split("\t") for line in (tmp_path / f"{released}_queries.tsv").read_text().split("\n")[:-1]]
        assert [(name, text.split()) for name, text in rows] == [(q.id, q.text.split()) for q in QUERIES[split]]
        lines = [line.split("\t") for line in (tmp_path / f"{released}_qrels.txt").read_text().splitlines()]
        assert all(iteration == "0" for _, iteration, _, _ in lines)
        judged: dict[str, dict[str, int]] = {}
        for query, _, passage, label in lines:
            judged.setdefault(query, {})[f"p{passage}"] = int(label)
        assert judged == QRELS[split]


def test_lists_have_the_scores_of_the_run(store: Any, lists: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    write_lists(path, lists, RUN, QUERIES["train"], store.queries("train").ids)
    rows = objects(path)
    assert [(row["query_id"], row["query"]) for row in rows] == [(q.id, q.text) for q in QUERIES["train"][:2]]
    for j, row in enumerate(rows):
        query = row["query_id"]
        positives, negatives = pairs(row["positives"]), pairs(row["negatives"])
        assert sorted(positives) == sorted(int(p[1:]) for p, grade in QRELS["train"][query].items() if grade > 0)
        assert list(negatives) == lists.negatives[j].tolist() and not set(positives) & set(negatives)
        for passage, score in (positives | negatives).items():
            assert np.float32(score) == np.float32(SCORES.get((query, passage), -1))
    assert pairs(rows[0]["positives"])[1] == -1 and -1 in pairs(rows[0]["negatives"]).values()


def test_lists_without_scores_have_one_over_rank(store: Any, lists: Any, tmp_path: Path) -> None:
    write_lists(tmp_path / "a", lists, RUN, QUERIES["train"], store.queries("train").ids, graded=False)
    first = objects(tmp_path / "a")[0]
    found = pairs(first["positives"]) | pairs(first["negatives"])
    assert (found[4], found[0]) == (1, 0.5) and found[1] == -1


def test_teacher_scores_of_the_pairs_that_have_one(store: Any, lists: Any, tmp_path: Path) -> None:
    drawn = lists.drawn(epochs=1, seed=0, n=2)
    logits = np.linspace(-9, 9, len(drawn[0]), dtype=np.float32)
    teacher = write_teacher_scores(tmp_path / "scores", len(logits), [(*drawn, logits)])
    write_teacher(tmp_path / "kd_train.jsonl", lists, teacher, QUERIES["train"], store.queries("train").ids)
    known = {(q, p): score for q, p, score in zip(*map(np.ndarray.tolist, (*drawn, logits)), strict=True)}
    rows = objects(tmp_path / "kd_train.jsonl")
    written = {
        (number, passage): score
        for number, row in enumerate(rows)
        for side in ("positives", "negatives")
        for passage, score in pairs(row[side]).items()
    }
    assert written.keys() == known.keys()
    assert all(np.float32(score) == np.float32(known[pair]) for pair, score in written.items())
    for j, row in enumerate(rows):
        group = lists.group(j, 0, 0, 2).tolist()
        assert group[0] in pairs(row["positives"]) and group[1:] == list(pairs(row["negatives"]))


@pytest.mark.parametrize(
    ("rows", "place"),
    [(PASSAGES[:3], 4), ([*PASSAGES, Passage("p6", "", "more")], 7), ([PASSAGES[1], PASSAGES[0], *PASSAGES[2:]], 1)],
    ids=["fewer", "more", "in another order"],
)
def test_a_collection_that_changed(rows: list[Passage], place: int, store: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the passage in place {place} of the collection is not the one that was tok"):
        write_passages(tmp_path, rows, store.passages.ids)


def test_other_queries(store: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the query in place 2 of the collection"):
        write_queries(tmp_path, "train", [QUERIES["train"][0], Query("x", "y")], store.queries("train").ids)


NAMES = Names(["p0", "p1", "p2", "p3"])
TIED = Run(
    ["a", "b", "c"],
    np.array([[3, 0, 2], [1, -1, -1], [-1, -1, -1]]),
    np.array([[0.1, 0.1, -7.25], [1e-9, -np.inf, -np.inf], [-np.inf] * 3], dtype=np.float32),
)


def test_both_files_are_the_run(tmp_path: Path) -> None:
    source = tmp_path / "stage" / "test.run"
    write_run(source, TIED, NAMES, "dense")
    write_runs({"test": source}, tmp_path)
    assert (tmp_path / "test.trec").read_bytes() == source.read_bytes()
    again = read_run(tmp_path / "test.trec", TIED.query_ids, NAMES)
    ranked = [(q, p) for q in range(3) for p in again.indices[q].tolist() if p >= 0]
    assert ranked == [(0, 0), (0, 3), (0, 2), (1, 1)]  # equal scores by passage index

    lines = (tmp_path / "test.msmarco.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    assert [(query, passage) for query, passage, _, _ in rows] == [(TIED.query_ids[q], f"p{p}") for q, p in ranked]
    assert [int(rank) for _, _, rank, _ in rows] == [1, 2, 3, 1]
    scores = np.array([float(score) for *_, score in rows], dtype=np.float32)
    assert np.array_equal(scores, again.scores[again.indices >= 0])


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("a Q0 p0 1 0.5 dense\na Q0 p1 2 much dense\n")
    with pytest.raises(UserError, match=r"a\.run:2: not a line of a TREC run"):
        write_runs({"test": tmp_path / "a.run"}, tmp_path)


def test_evaluators_rank_equal_scores_as_we_do(store: Any, tmp_path: Path) -> None:
    scores = np.array([[0.5] * 6, [0.5, 0.5, 0.5, 0.25, 0.25, 0.25], [-np.inf] * 6], dtype=np.float32)
    places = np.where(scores > 0, np.arange(6), -1)
    write_run(tmp_path / "train.run", Run(["a", "b", "c"], places, scores), store.passages.ids, "dense")
    write_runs({"train": tmp_path / "train.run"}, tmp_path)
    write_qrels(tmp_path / "train.qrels", store.qrels("train"), store.queries("train").ids, store.passages.ids)
    # By passage: p1 and p4 are relevant to a, p3 to b, and c, for which nothing was found, counts.
    expected = {"RR@10": (1 / 2 + 1 / 4) / 3, "R@3": (1 / 2 + 0) / 3, "Success@4": 2 / 3}
    judged, ranked = str(tmp_path / "train.qrels"), str(tmp_path / "train.trec")
    measures = [ir_measures.parse_measure(name) for name in expected]
    found = ir_measures.calc_aggregate(measures, ir_measures.read_trec_qrels(judged), ir_measures.read_trec_run(ranked))
    assert {str(measure): value for measure, value in found.items()} == pytest.approx(expected)
    with open(judged) as one, open(ranked) as other:
        qrels, run = pytrec_eval.parse_qrel(one), pytrec_eval.parse_run(other)
    assert qrels == QRELS["train"] and run.keys() == {"a", "b"}
    values = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank", "recall.3", "success.4"}).evaluate(run)
    sums = {name: sum(row[name] for row in values.values()) / 3 for name in ("recip_rank", "recall_3", "success_4")}
    assert list(sums.values()) == pytest.approx(list(expected.values()))
