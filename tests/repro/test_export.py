"""`python -m repro.export` over Table 2's results: what other tools read, score and measure is what the table has."""

import gzip
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from baselines.lucene import java_home
from repro.export import WHAT, ExportOptions, run
from repro.table2 import table2 as table
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.export.folder import MARKER
from tests.data.beir import write_beir
from tests.repro.commands import Results, finished, listing, start

ROWS = ("bm25", "random", "reranker", "simlm")


@pytest.fixture(scope="module")
def exported(smoke: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Table 2's exported rows."""
    to = tmp_path_factory.mktemp("exports")
    before = listing(smoke.folder)
    ran = finished(export("--results", str(smoke.folder), "--to", str(to), "--check", "--rows", *ROWS))
    assert ran.returncode == 0, ran.stderr
    assert listing(smoke.folder) == before
    folder = to / "smoke" / "table2"
    written = [line.split(": ")[1] for line in ran.stdout.splitlines() if line[0] != " "]
    assert written == [str(folder / name) for name in names(folder)] and ran.stderr == ""
    (to / "printed").write_text(ran.stdout)
    return folder


def export(*arguments: str) -> "subprocess.Popen[str]":
    return start(*arguments, table="export")


def names(folder: Path) -> list[str]:
    """The exports below a folder, in the order of the table and of kinds."""
    keys = [row.key for row in table().rows]
    found = [path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/*/{MARKER}")]
    return sorted(found, key=lambda name: (keys.index(name.split("/")[0]), WHAT.index(name.split("/")[1])))


def test_each_row_has_what_it_stands_on(exported: Path) -> None:
    models = [f"{row}/{kind}" for row in ("random", "reranker", "simlm") for kind in WHAT]
    assert names(exported) == ["bm25/runs", *models]
    taught = [path.parent.parent.name for path in exported.glob("*/training/kd_train.jsonl")]
    assert taught == ["simlm"]
    for path in exported.rglob("*"):
        if path.is_file():
            assert str(exported).encode() not in path.read_bytes()


@pytest.mark.parametrize("row", ROWS)
def test_runs_are_those_of_the_table(row: str, exported: Path, smoke: Results) -> None:
    (found,) = [one for one in smoke.report["rows"] if one["key"] == row]
    source = (smoke.folder / found["run"]["path"]).read_bytes()
    assert (exported / row / "runs" / "test.trec").read_bytes() == source
    other = [line.split("\t") for line in (exported / row / "runs" / "test.msmarco.txt").read_text().splitlines()]
    assert other == [[q, p, rank, score] for q, _, p, rank, score, _ in map(str.split, source.decode().splitlines())]


CHECKED = re.compile(
    r"/(\w+)/model\n  (\d+) questions, (\d+) pairs under sentence-transformers: scores differ by at most (\S+) from "
    r"ours in float32, by at most (\S+) from the run's \(float32\); RR@10 (\S+) in the run, (\S+) by these scores"
)


def test_sentence_transformers_gives_the_scores_of_the_run(exported: Path, smoke: Results) -> None:
    found = CHECKED.findall((exported.parent.parent / "printed").read_text())
    assert [row for row, *_ in found] == ["random", "reranker", "simlm"]
    asked = [query.id for query in open_collection("insuranceqa-smoke").queries("test")]
    for row, questions, pairs, ours, theirs, before, after in found:
        assert (int(questions), int(pairs)) == (len(asked), len(asked) * (10 if row == "reranker" else 20))
        assert max(float(ours), float(theirs)) <= 1e-5
        assert before == f"{figure(smoke, row, 'RR@10'):.4f}" and float(after) == pytest.approx(float(before), abs=1e-3)


def figure(smoke: Results, row: str, measure: str) -> float:
    value: float = smoke.measured()[row][measure]["mean"]
    return value


MEASURES = {"RR@10": "recip_rank", "R@50": "recall_50", "R@1000": "recall_1000", "nDCG@10": "ndcg_cut_10"}


@pytest.mark.parametrize("row", ROWS)
def test_ir_measures_and_trec_eval_give_the_figures_of_the_report(row: str, exported: Path, smoke: Results) -> None:
    runs = exported / row / "runs"
    qrels, run = (
        ir_measures.read_trec_qrels(str(runs / "test.qrels")),
        ir_measures.read_trec_run(str(runs / "test.trec")),
    )
    found = ir_measures.calc_aggregate(map(ir_measures.parse_measure, MEASURES), qrels, run)
    with (runs / "test.qrels").open() as one, (runs / "test.trec").open() as other:
        judged, ranked = pytrec_eval.parse_qrel(one), pytrec_eval.parse_run(other)
    values = pytrec_eval.RelevanceEvaluator(judged, set(MEASURES.values())).evaluate(ranked)
    for measure, value in found.items():
        ours = figure(smoke, row, str(measure))
        theirs = [values.get(query, {}).get(MEASURES[str(measure)], 0) for query in judged]
        if str(measure) == "RR@10":  # pytrec_eval has no cut-off for it
            theirs = [one if one >= 0.1 else 0 for one in theirs]
        assert (value, np.mean(theirs)) == pytest.approx((ours, ours))


@pytest.mark.skipif(
    sys.platform == "linux" and platform.machine() != "x86_64", reason="Pyserini has no trec_eval for this processor"
)
def test_pyserinis_evaluator_gives_the_figures_of_the_report(exported: Path, smoke: Results) -> None:
    options = (["-m", "recall.50,1000", "-m", "ndcg_cut.10"], ["-M", "10", "-m", "recip_rank"])
    files = [[str(exported / row / "runs" / name) for name in ("test.qrels", "test.trec")] for row in ROWS]
    calls = [["trec_eval", "-c", *cuts, *pair] for pair in files for cuts in options]
    code = f"from pyserini.eval.trec_eval import trec_eval\nfor call in {calls}: trec_eval(call)"
    java = {"JAVA_HOME": str(java_home()), "PATH": f"{java_home() / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    # Pyserini imports a client that wants a key, whatever it is.
    env = os.environ | {"OPENAI_API_KEY": "none"} | java
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    found = [float(value) for value in re.findall(r"^\w+ *\tall\t(\S+)$", ran.stdout, re.MULTILINE)]
    names = ("R@50", "R@1000", "nDCG@10", "RR@10")
    assert found == pytest.approx([figure(smoke, row, name) for row in ROWS for name in names], abs=5.1e-5)


def test_training_files_hold_the_collection_and_the_pairs(exported: Path, smoke: Results) -> None:
    folder = exported / "simlm" / "training"
    with gzip.open(folder / "passages.jsonl.gz", "rt", encoding="utf-8") as file:
        passages = [one.text for one in open_collection("insuranceqa-smoke").passages()]
        assert [json.loads(line)["contents"] for line in file] == passages
    lists, taught = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("train.jsonl", "kd_train.jsonl")
    )
    assert [row["query_id"] for row in lists] == [row["query_id"] for row in taught] != []
    assert all(len(row["negatives"]["doc_id"]) == len(row["negatives"]["score"]) == 24 for row in lists)
    pairs = sum(len(row[side]["doc_id"]) for row in taught for side in ("positives", "negatives"))
    assert pairs == len(np.load(smoke.job("teacher scores") / "output" / "scores" / "score.npy"))


def options(smoke: Results, to: Path, **changes: Any) -> ExportOptions:
    return ExportOptions(scale="smoke", results=smoke.folder, to=to, **changes)


def test_again_gives_the_same_bytes_and_another_table_its_own_folder(exported: Path, smoke: Results) -> None:
    to = exported.parent.parent
    before = {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()}
    run(options(smoke, to, rows=("simlm",)))
    run(options(smoke, to, rows=("simlm",), table="table7", what=("model",)))
    assert {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()} == before
    weights = [to / "smoke" / name / "model" / "model.safetensors" for name in ("table7/simlm", "table2/simlm")]
    assert weights[0].read_bytes() != weights[1].read_bytes()  # Table 7's row is Retriever1


def test_a_dry_run_says_what_and_writes_nothing(smoke: Results, tmp_path: Path, capsys: Any) -> None:
    run(options(smoke, tmp_path / "to", rows=("simlm",), dry_run=True))
    said = capsys.readouterr().out
    assert "0 of " in said and f"{tmp_path / 'to' / 'smoke' / 'table2' / 'simlm' / 'training'}" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": ("bm52",)}, "unknown row 'bm52': choose from bm25"),
        ({"table": "table3"}, "unknown table 'table3': choose one of table1"),
        ({"what": ("modle",)}, "unknown kind of export 'modle': choose one of model, runs, training"),
        ({"rows": ("simlm", "bm25"), "what": ("model",)}, "row 'bm25' of table2 has no model to export, only runs"),
        ({"rows": ("bm25",), "check": True}, "--check scores with exported models, and none is to be exported"),
        ({"device": "cpu"}, "--device changes nothing in repro.export: leave it out"),
        ({"rows": ("simlm",), "seed": 1}, "stages are not made, .* --rows simlm --seed 1"),
    ],
)
def test_mistakes(changes: dict[str, Any], said: str, smoke: Results, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        run(options(smoke, tmp_path / "to", **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_stage_to_do_is_named_with_its_command(tmp_path: Path) -> None:
    results, to = tmp_path / "results", tmp_path / "to"
    ran = finished(export("--results", str(results), "--to", str(to), "--rows", "simlm-1", "reranker"))
    assert ran.returncode == 2 and ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: --results {results}: ") and "stages are not made, 'collection' is the first" in line
    command = f"python -m repro.table2 --scale smoke --results {results} --rows simlm-1 reranker"
    assert line.endswith(f"make them with: {command}")
    own = ExportOptions("smoke", str(write_beir(tmp_path / "own")), keep_own_passages=True, results=results, to=to)
    with pytest.raises(UserError, match=rf"--collection {own.collection} --keep-own-passages$"):
        run(own)
    shutil.rmtree(tmp_path / "own")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_stage_is_not_exported(smoke: Results, tmp_path: Path) -> None:
    copy = smoke.copy(tmp_path / "results")
    weights = (
        copy.folder / smoke.job("Retriever1 (random)").relative_to(smoke.folder) / "output/model/model.safetensors"
    )
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(
        UserError, match=r"'Retriever1 \(random\)' is the first \(model/model.safetensors does not have"
    ):
        run(options(copy, tmp_path / "to", rows=("random",)))
    assert not (tmp_path / "to").exists()


def test_something_else_in_an_exports_place(smoke: Results, tmp_path: Path) -> None:
    place = tmp_path / "smoke" / "table2" / "simlm" / "runs"
    place.mkdir(parents=True)
    (place / "mine.txt").touch()
    before = listing(tmp_path)
    with pytest.raises(UserError, match="exists and holds no simlm-export.json: move it away"):
        run(options(smoke, tmp_path, rows=("simlm",)))
    assert listing(tmp_path) == before
