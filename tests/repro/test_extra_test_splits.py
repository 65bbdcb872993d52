"""Further test splits and answers that come with a collection, in reports of the smallest runs there are."""

import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from repro.extra_test_splits import COLUMN_OF, key_on, with_extra_splits
from repro.published import published
from repro.table2 import table2
from repro.table7 import table7
from simlm.data.opening import open_collection
from simlm.data.store import TokenisedCollection
from simlm.scales import open_scale
from simlm.stages.pipeline import Pipeline
from tests.data import released
from tests.data.irds_home import dpr, msmarco
from tests.repro.commands import finished, start

YEARS = {"trec-dl-2019": "dl19_ndcg10", "trec-dl-2020": "dl20_ndcg10"}


def run(table: str, *arguments: str, **environment: str) -> None:
    ran = finished(start("--rows", "bm25", *arguments, table=table, **environment))
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results and the archive: BM25 on MS MARCO in miniature, TREC DL with it."""
    folder = tmp_path_factory.mktemp("further")
    archive = released.packed(folder / "data", passages__jsonl__gz=released.passages(300), **released.trec_dl())
    run("table2", "--collection", str(archive), "--results", str(folder / "results"))
    return folder / "results", archive


def test_every_split_has_a_table_with_its_own_measures_and_the_papers_column(measured: tuple[Path, Path]) -> None:
    results, archive = measured
    (path,) = results.glob("smoke/*/table2.json")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert [group["collection"]["split"] for group in report["groups"]] == ["test", *YEARS]
    rows = {row["key"]: row for row in report["rows"]}
    paper = published("table2").set_index("model")
    collection = open_collection(str(archive))
    for split, column in YEARS.items():
        (group,) = [one for one in report["groups"] if one["key"] == split]
        assert [one["key"] for one in group["columns"]] == [column]
        assert group["measures"][:2] == ["nDCG@10", "Judged@10"] and group["collection"]["queries"] in (3, 4)
        row = rows[key_on("bm25", split)]
        assert row["run"]["path"].endswith(f"{split}.run") and row["published"][column] == paper.loc["BM25", column]
        qrels = collection.qrels(split)
        judged = [ir_measures.Qrel(query, passage, grade) for query in qrels for passage, grade in qrels[query].items()]
        lines = [line.split() for line in (results / row["run"]["path"]).read_text(encoding="utf-8").splitlines()]
        found = [ir_measures.ScoredDoc(line[0], line[2], float(line[4])) for line in lines]
        for name in group["measures"]:
            expected = ir_measures.calc_aggregate([ir_measures.parse_measure(name)], judged, found)
            (value,) = expected.values()
            assert row["measured"][name]["mean"] == pytest.approx(value, abs=1e-6), name
        only = {key for key, one in rows.items() if one["group"] == split and not one["measured"]}
        others = paper.index[paper[column].notna()].drop(["BM25", "SimLM"])
        assert only == {key_on(f"paper-{model.lower()}", split) for model in others}
    assert report["statistics"]["queries"] == {
        "SimLM's MS MARCO test": 5,
        "SimLM's MS MARCO trec-dl-2019": 3,
        "SimLM's MS MARCO trec-dl-2020": 4,
    }
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "SimLM's MS MARCO trec-dl-2019" in page and "paper, TREC DL 20<br>nDCG@10" in page


def test_trec_dl_as_the_test_split_has_its_own_relevant_grade(tmp_path: Path) -> None:
    """Of one query BM25 finds a passage of grade 1, of the other one of grade 2; each has one more of grade 2."""
    home, results = tmp_path / "home", tmp_path / "results"
    msmarco(home)
    qrels = "19 Q0 19 1\n19 Q0 30 2\n21 Q0 21 2\n21 Q0 31 2\n"
    (home / "msmarco-passage" / "trec-dl-2019" / "qrels").write_text(qrels)
    collection = "irds:msmarco-passage,train=train/judged,valid=dev/small,test=trec-dl-2019/judged"
    run("table2", "--collection", collection, "--results", str(results), IR_DATASETS_HOME=str(home))
    (path,) = results.glob("smoke/*/table2.json")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    measured = {name: one["mean"] for name, one in report["rows"][0]["measured"].items()}
    assert measured["RR(rel=2)@10"] == 0.5 and measured["R(rel=2)@1000"] == 0.25
    assert list(measured) == report["measures"] == ["RR(rel=2)@10", "R(rel=2)@50", "R(rel=2)@1000", "nDCG@10"]
    assert report["columns"][0]["measure"] == "RR(rel=2)@10"
    assert "passages are relevant from grade 2 on" in path.with_suffix(".md").read_text(encoding="utf-8")

    prepared = Pipeline(open_scale("smoke", collection), 0, lambda stage, name: None).data
    (marker,) = results.glob("jobs/*/*/output/store/collection.json")
    store = TokenisedCollection.open(marker.parent)
    assert [len(store.qrels("test").positives(place)) for place in (0, 1)] == [1, 2]
    assert prepared.outdated(marker.parents[2]) is None
    marker.write_text(marker.read_text().replace("relevant_from", "made_before_that_was_kept"))
    assert prepared.outdated(marker.parents[2]) == "it was prepared when other grades counted as relevant"


def test_without_further_splits_a_table_stays_as_it_is() -> None:
    for table, scale in ((table2(), "smoke"), (table7(), "paper")):
        same, rows, runs = with_extra_splits(table, table.rows, {}, open_scale(scale))
        assert same is table and rows == list(table.rows) and runs == {}
    assert {split: column.key for split, column in COLUMN_OF.items()} == YEARS


def test_table_4_counts_the_answers_that_come_with_nq(tmp_path: Path) -> None:
    dpr(tmp_path / "home")
    questions = tmp_path / "nq-test.qa.csv"
    questions.write_text("Text 7\t['7, a']\nText 9\t['nowhere']\nword\t['in it', 'x']\n", encoding="utf-8")
    results = tmp_path / "results"
    run("table4", "--collection", f"nq:{questions}", "--results", str(results), IR_DATASETS_HOME=str(tmp_path / "home"))
    (path,) = results.glob("smoke/*/table4.json")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    (row,) = [one for one in report["rows"] if one["measured"]]
    assert row["measured"]["Success@20"]["mean"] == pytest.approx(2 / 3)
    assert not any("derived" in one for one in report["warnings"])
    assert report["collection"]["name"] == "nq" and report["collection"]["queries"] == 3
