"""`python -m repro.export` over Table 2's results: what other tools read is what the table measured."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
    ran = finished(export("--results", str(smoke.folder), "--to", str(to), "--rows", *ROWS))
    assert ran.returncode == 0, ran.stderr
    assert listing(smoke.folder) == before
    folder = to / "smoke" / "table2"
    assert [line.split(": ")[1] for line in ran.stdout.splitlines()] == [str(folder / name) for name in names(folder)]
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
