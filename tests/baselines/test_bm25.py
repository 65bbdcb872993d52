"""BM25 end to end, in a process of its own: the JVM and the torch of other tests stay apart."""

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from ir_measures import RR

from baselines.bm25 import build_index, index_bytes, search_index, tune
from simlm.data.collection import Passage, Query
from simlm.data.ids import IdTable
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.evaluation.measures import evaluate
from simlm.retrieval.runs import read_run, read_run_ids

PASSAGES = [
    Passage("9", "", "life insurance"),
    Passage("10", "", "life insurance"),
    Passage("2", "", "the insurance of policies, and of houses"),
    Passage("é", "Renters", "house and home"),
    Passage("5", "", "of the and"),
]
LENGTHS = {"9": 2, "10": 2, "2": 3, "é": 3, "5": 0}  # stop words do not count


@pytest.fixture(scope="module")
def java() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def index(java: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bm25") / "index"
    java.submit(build_index, PASSAGES, folder).result()
    return folder


def searched(java: ProcessPoolExecutor, index: Path, path: Path, texts: list[str], **options: float):
    queries = [Query(f"q{number}", text) for number, text in enumerate(texts)]
    cost = java.submit(search_index, index, queries, path, **options).result()
    assert cost.queries == len(texts) and cost.seconds > 0
    return {query: dict(zip(names, scores, strict=True)) for query, names, scores in read_run_ids(path)}


def bm25(passage: str, matches: int, k1: float, b: float) -> float:
    average = sum(LENGTHS.values()) / sum(length > 0 for length in LENGTHS.values())
    idf = math.log(1 + (len([n for n in LENGTHS.values() if n]) - matches + 0.5) / (matches + 0.5))
    return idf / (1 + k1 * (1 - b + b * LENGTHS[passage] / average))


def test_scores_and_ties_are_lucenes(java: ProcessPoolExecutor, index: Path, tmp_path: Path) -> None:
    run = searched(java, index, tmp_path / "a.run", ["life", "the insurances", "houses"])
    assert list(run["q0"]) == ["10", "9"]  # equal scores: Anserini's order of ids as strings
    assert run["q0"]["10"] == pytest.approx(bm25("10", 2, 0.9, 0.4), abs=1e-6)
    assert 0 < run["q0"]["10"] - run["q0"]["9"] < 1e-6
    assert list(run["q1"]) == ["10", "9", "2"]
    assert run["q1"]["2"] == pytest.approx(bm25("2", 3, 0.9, 0.4), abs=1e-6)
    assert list(run["q2"]) == ["2", "é"]


def test_parameters_titles_and_depth(java: ProcessPoolExecutor, index: Path, tmp_path: Path) -> None:
    run = searched(java, index, tmp_path / "a.run", ["renter", "insurance"], k1=2.0, b=1.0, k=1)
    assert run["q0"] == {"é": pytest.approx(bm25("é", 1, 2.0, 1.0), abs=1e-6)}
    assert list(run["q1"]) == ["10"]


def test_a_query_that_is_a_passage_does_not_find_it(java: ProcessPoolExecutor, index: Path, tmp_path: Path) -> None:
    queries, path = [Query("10", "life insurance"), Query("9", "life insurance")], tmp_path / "a.run"
    java.submit(search_index, index, queries, path, 0.9, 0.4, 2, frozenset({"10"})).result()
    assert {query: names for query, names, _ in read_run_ids(path)} == {"10": ["9", "2"], "9": ["10", "9"]}
    trials = java.submit(tune, index, queries[:1], {"10": {"9": 1}}, [(0.9, 0.4)], frozenset({"10"})).result()
    assert trials[0].rr_at_10 == 1


def test_queries_without_a_hit_have_no_line(java: ProcessPoolExecutor, index: Path, tmp_path: Path) -> None:
    run = searched(java, index, tmp_path / "a.run", ["", "the of", "zebra", 'a "life (+-"'])
    assert list(run) == ["q3"]
    assert searched(java, index, tmp_path / "a.run", ["zebra"]) == {}
    assert read_run(tmp_path / "a.run", ["q0"], IdTable(index)).indices.shape == (1, 0)
    assert evaluate(tmp_path / "a.run", {"q0": {"9": 1}}, [RR @ 10])["RR@10"].tolist() == [0.0]


def test_a_query_may_have_any_number_of_words(java: ProcessPoolExecutor, index: Path, tmp_path: Path) -> None:
    many = " ".join(f"word{number}" for number in range(5000))
    run = searched(java, index, tmp_path / "a.run", [f"{many} houses", "houses"])
    assert run["q0"] == run["q1"] != {}


def test_tuning_tries_every_point_in_order(java: ProcessPoolExecutor, index: Path) -> None:
    queries, qrels = [Query("a", "insurance"), Query("b", "zebra")], {"a": {"2": 1}, "b": {"9": 1}}
    trials = java.submit(tune, index, queries, qrels, [(0.9, 0.4), (0.9, 0.0)]).result()
    assert trials == [(0.9, 0.4, pytest.approx(1 / 6)), (0.9, 0.0, pytest.approx(1 / 4))]
    assert java.submit(tune, index, queries, qrels, [(0.9, 0.4)], (), 2).result()[0].rr_at_10 == 0, "all of grade 1"


def test_size_counts_every_file(index: Path) -> None:
    assert index_bytes(index) == sum(path.stat().st_size for path in index.glob("**/*") if path.is_file())


def test_bad_input(java: ProcessPoolExecutor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="comes twice"):
        java.submit(build_index, [*PASSAGES, PASSAGES[0]], tmp_path / "index").result()
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="bm25 index"):
        java.submit(search_index, tmp_path, [], tmp_path / "a.run").result()


@pytest.mark.slow
def test_the_published_figure_on_insuranceqa(java: ProcessPoolExecutor, tmp_path: Path) -> None:
    collection = open_collection("insuranceqa")
    index, path = tmp_path / "index", tmp_path / "test.run"
    java.submit(build_index, list(collection.passages()), index).result()
    java.submit(search_index, index, list(collection.queries("test")), path, k=10).result()
    values = evaluate(path, collection.qrels("test"), [RR @ 10])
    assert round(float(values["RR@10"].mean()), 4) == 0.2959
