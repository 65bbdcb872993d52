"""`--collection`: a folder in BEIR's layout through Table 2's pipeline, what its report says, what is refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.__main__ import Options as GridOptions
from ablations.__main__ import check as check_grid
from ablations.__main__ import run as run_grid
from repro import claim_runs, export
from repro.command import Options, check
from repro.origin import warnings
from repro.pipeline_runs import PipelineRuns
from repro.run import run_table
from repro.table import check_domains
from repro.tables import TABLES, tables_on
from simlm.data.catalogue import CATALOGUE
from simlm.data.lookup import resolve
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.scales import NAMES, Scale, open_scale
from simlm.stages.data import Prepare
from simlm.stages.pipeline import Pipeline
from simlm.workflow.plan import plan
from tests.data.beir import FILES, HEAD, jsonl, smoke_as_beir, write_beir
from tests.repro.commands import ROOT, table2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke collection with titles, as a reader's folder."""
    made = smoke_as_beir(tmp_path_factory.mktemp("own") / "quotes")
    passage = json.loads((made / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[7])
    for split, relevant in {"train": 1, "test": 2}.items():  # a passage as a query of two splits
        with (made / "qrels" / f"{split}.tsv").open("a") as file:
            file.write(f"{passage['_id']}\tdoc-{relevant}\t1\n")
    with (made / "queries.jsonl").open("a") as file:
        file.write(json.dumps({"_id": passage["_id"], "text": passage["text"]}) + "\n")
    return made


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of BM25 and of SimLM's Retriever1, with all that they stand on, on that folder."""
    results = tmp_path_factory.mktemp("measured") / "results"
    ran = table2("--collection", str(folder), "--results", str(results), "--rows", "bm25", "simlm-1")
    assert ran.returncode == 0, ran.stderr
    assert "measured on quotes test, smoke" in ran.stdout
    (report,) = results.glob("smoke/collection-quotes-*_rows-bm25-simlm-1/table2.json")
    return report


def test_a_folder_runs_through_the_pipeline_and_its_report_names_it(measured: Path, folder: Path) -> None:
    report: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    assert [row["key"] for row in report["rows"] if row["measured"]] == ["bm25", "simlm-1"]
    assert report["rows"][0]["measured"]["RR@10"]["mean"] > 0.2
    facts = report["collection"]
    assert (facts["name"], facts["passages"], facts["queries"]) == ("quotes", 600, 33)
    assert facts["description"] == "A collection of your own, a folder in BEIR's layout."
    data = report["provenance"]["data"]["test collection"]
    found = open_collection(str(folder))
    assert data == {
        "name": "quotes",
        "source": "a folder in BEIR's layout",
        "ir_datasets": found.registered["test"],
        "fingerprint": found.fingerprint(),
    }
    assert str(folder) not in measured.read_text() + measured.with_suffix(".md").read_text()


def test_a_query_that_is_a_passage_does_not_find_it(measured: Path, tmp_path: Path) -> None:
    runs = list(measured.parents[2].glob("jobs/*/*/output/*.run"))
    found = [line.split() for run in runs for line in run.read_text().splitlines() if line.startswith("doc-8 ")]
    assert {run.name for run in runs} == {"valid.run", "test.run"} and len(found) >= 100
    assert all(passage != query for query, _, passage, *_ in found)
    mined = [np.load(path)[-1] for path in measured.parents[2].glob("jobs/*/*/output/train.indices.npy")]
    assert len(mined) == 2 and all(7 not in row and (row >= 0).sum() >= 10 for row in mined)
    report: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    (note,) = [one for one in report["notes"] if "--keep-own-passages" in one]
    assert note.startswith("1 of 33 test, 1 of 65 train queries are passages themselves")
    with pytest.raises(UserError, match="--keep-own-passages: no query"):
        check(Options(keep_own_passages=True, results=tmp_path / "results"))


def test_the_report_says_where_settings_were_chosen(measured: Path) -> None:
    report: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    (warning,) = [one for one in report["warnings"] if "reader's own" in one]
    assert "chosen on InsuranceQA" in warning and "not on this collection" in warning
    chosen = [one["chosen"] for one in report["hyperparameters"]]
    assert not any(" on valid" in one for one in chosen)
    assert {one["row"] for one in report["tuning"]} == set(), "no trial of another collection is shown as this one's"


def test_moved_the_same_stages_are_valid_and_changed_they_are_not(measured: Path, folder: Path, tmp_path: Path) -> None:
    moved, rows = shutil.copytree(folder, tmp_path / "elsewhere"), ("bm25", "simlm-1")
    options = Options(scale="smoke", collection=str(moved), rows=rows, results=measured.parents[2])

    def valid() -> list[bool]:
        def build(submit: Any) -> None:
            runs = options.pipeline_runs(submit)
            for row in TABLES["table2"]().chosen(rows):
                row.run(runs)

        return [stage.finished for stage in plan(build, options.results)[0]]

    first = json.loads(measured.read_text(encoding="utf-8"))
    assert valid() == [True] * len(first["stages"])
    run_table(TABLES["table2"](), options)
    report = json.loads((options.results / "smoke" / options.variant / "table2.json").read_text(encoding="utf-8"))
    assert [row["measured"] for row in report["rows"]] == [row["measured"] for row in first["rows"]]
    data = first["provenance"]["data"]["test collection"] | {"name": "elsewhere"}
    assert report["provenance"]["data"]["test collection"] == data
    export.run(export.ExportOptions("smoke", str(moved), ("simlm-1",), results=options.results, to=tmp_path / "to"))
    cards = "".join(card.read_text(encoding="utf-8") for card in (tmp_path / "to").rglob("README.md"))
    assert cards.count(" elsewhere") == 2 and "quotes" not in cards
    with (moved / "queries.jsonl").open("a") as file:
        file.write('{"_id": "one-more", "text": "what else"}\n')
    resolve.cache_clear()  # as in another command
    assert valid() == [False] * len(first["stages"])


def test_titles_are_segment_a(measured: Path) -> None:
    (store,) = measured.parents[2].glob("jobs/*/*/output/store/passages/store.json")
    assert json.loads(store.read_text())["has_titles"] is True


def test_the_scales_own_collection_keeps_its_identities(tmp_path: Path) -> None:
    """Those of the published reports, whatever --collection has added to the configuration."""
    published = json.loads((ROOT / "reports" / "mini" / "table2.json").read_text(encoding="utf-8"))["stages"]
    stages, _ = plan(lambda submit: Pipeline(open_scale("mini"), 0, submit).simlm, tmp_path)
    assert {stage.job.name for stage in stages} <= {one["identifier"] for one in published}


def prepared(collection: str) -> Prepare:
    return Pipeline(open_scale("mini", collection), 0, lambda stage, name: None).data


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_built_in_collection_can_be_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "questions.csv"
    file.write_text("who\t['Me']\n")
    text = f"{name}:{file}" if CATALOGUE[name].question_file else name
    check(Options(collection=text, results=tmp_path / "results"))
    assert open_scale("mini", text).collection == prepared(text).collection == name
    with pytest.raises(UserError, match=f"nowhere: .*nowhere is missing; .* or one of .*{name}"):
        resolve("~no-such-user/nowhere")


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_built_in_name_that_is_also_a_folders_is_not_guessed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert Options("mini", name).collection in (name, ""), "an empty folder is no collection"
    write_beir(tmp_path / name)
    for kind in (Options, GridOptions):
        with pytest.raises(
            UserError,
            match=rf"{name}: there is a built-in .* \./{name} for the folder, ({name}:FILE|or run elsewhere) ",
        ):
            kind(scale="mini", collection=name)
    assert resolve(Options("mini", f"./{name}").collection).collection == "beir folder"


def distilled(scale: Scale, results: Path) -> set[Path]:
    """Return the folders of all stages up to SimLM's last retriever."""
    return {stage.job for stage in plan(lambda submit: PipelineRuns(scale, 0, submit).distilled("simlm"), results)[0]}


@pytest.mark.usefixtures("minilm")
@pytest.mark.parametrize("scale", NAMES)
def test_a_scales_own_collection_by_name_is_as_without_the_option(scale: str, tmp_path: Path) -> None:
    own = open_scale(scale).collection
    assert Options(scale, own) == Options(scale) and GridOptions(scale=scale, collection=own) == GridOptions(
        scale=scale
    )
    named, plain = distilled(open_scale(scale, own), tmp_path), distilled(open_scale(scale), tmp_path)
    assert named == plain != set()


def test_a_table_by_domain_takes_another_scales_insuranceqa() -> None:
    check_domains(TABLES["table10"](), Options("smoke", "insuranceqa"))
    assert not [one for one in warnings(Options("smoke", "insuranceqa"), []) if "reader's own" in one]


def refused(folder: Path, said: str, tmp_path: Path, table: str = "table2") -> None:
    options = Options(scale="smoke", collection=str(folder), results=tmp_path / "results")
    with pytest.raises(UserError, match=f"^{re.escape(said)}") as caught:
        check(options)
        run_table(TABLES[table](), options)
    assert "\n" not in str(caught.value) and not (tmp_path / "results").exists()


def test_a_missing_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "mine", valid=None)
    refused(folder, f"{folder}/qrels/dev.tsv is missing: on its queries BM25", tmp_path)


def many_relevant(folder: Path, **qrels: str) -> Path:
    """Forty passages, of which the one query of a split has those that are given, or the first."""
    corpus = jsonl([{"_id": f"p{number}", "text": f"text {number}"} for number in range(40)])
    queries = jsonl([{"_id": f"q-{split}", "text": "text"} for split in FILES])
    plain = {split: f"{HEAD}q-{split}\tp0\t1\n" for split in FILES}
    return write_beir(folder, corpus_jsonl=corpus, queries_jsonl=queries, **plain | qrels)


@pytest.mark.parametrize(("split", "relevant"), [("train", 36), ("valid", 13)])
def test_more_relevant_passages_than_a_list_has_room_beside(split: str, relevant: int, tmp_path: Path) -> None:
    qrels = HEAD + "".join(f"q-{split}\tp{number}\t1\n" for number in range(relevant))
    folder = many_relevant(tmp_path / "mine", **{split: qrels})
    said = f'query "q-{split}" of {split} has {relevant} relevant passages, which leaves {40 - relevant} of 40 for its'
    refused(folder, f"{folder}/qrels/{FILES[split]}:2: {said} list of negatives, and that needs 28; add", tmp_path)


def test_a_querys_own_passage_takes_room_too(dry_run: Any, tmp_path: Path) -> None:
    qrels = HEAD + "".join(f"q-train\tp{number}\t1\n" for number in range(12))
    folder = many_relevant(tmp_path / "mine", train=qrels)
    corpus = folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"p39", "text": "text 39"', '"q-train", "text": "text"'))
    said = 'query "q-train" of train has 12 relevant passages and is a passage itself, which leaves 27 of 40 for its'
    refused(folder, f"{folder}/qrels/train.tsv:2: {said} list of negatives, and that needs 28; add", tmp_path)
    options = {"collection": str(folder), "results": tmp_path / "results", "keep_own_passages": True}
    assert "stages to do" in dry_run("table2", **options)


def test_as_many_as_there_is_room_beside_are_fine(dry_run: Any, tmp_path: Path) -> None:
    qrels = HEAD + "".join(f"q-train\tp{number}\t1\n" for number in range(12))
    folder = many_relevant(tmp_path / "mine", train=qrels, test=qrels.replace("q-train", "q-test") + "q-test\tp39\t1\n")
    assert "stages to do" in dry_run("table2", collection=str(folder), results=tmp_path / "results")
    bm25 = many_relevant(tmp_path / "bm25", train=HEAD + "".join(f"q-train\tp{number}\t1\n" for number in range(40)))
    assert "stages to do" in dry_run("table2", collection=str(bm25), rows=("bm25",), results=tmp_path / "results")


def test_a_table_by_domain_is_refused(folder: Path, tmp_path: Path) -> None:
    said = f"--collection {folder}: table10 splits a collection by the domains of its questions"
    refused(folder, said, tmp_path, "table10")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": "smoke", "negatives": "package"}, "--negatives package: quotes comes without lists"),
        ({"scale": "smoke", "publish": True}, "--publish is for the whole table of the scale's own collection"),
    ],
)
def test_options_that_do_not_go_with_it(options: dict[str, Any], said: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        check(Options(collection=str(folder), results=tmp_path, **options))


def test_too_few_passages_for_a_scale(tmp_path: Path) -> None:
    folder = str(write_beir(tmp_path / "mine"))
    said = "4 passages are too few for {}, whose lists of negatives need {}; add passages"
    mini = said.format("mini", 230) + " or choose --scale smoke"
    for scale, line in (("mini", mini), ("smoke", said.format("smoke", 38) + "$")):
        with pytest.raises(UserError, match=line):
            check(Options(scale=scale, collection=folder, results=tmp_path))
    with pytest.raises(UserError, match=mini):
        check_grid(GridOptions(collection=folder, results=tmp_path))


def test_all_tables_but_the_one_by_domain_can_be_made(folder: Path, tmp_path: Path) -> None:
    scale = open_scale("smoke", str(folder))
    assert set(TABLES) - set(tables_on(scale.collection)) == {"table10"}
    _, asked = plan(lambda submit: claim_runs.ask(PipelineRuns(scale, 0, submit), claim_runs.CLAIMS), tmp_path)
    assert asked and not any(table == "table10" for table, _ in asked)


def test_claims_are_judged_on_it(folder: Path, tmp_path: Path) -> None:
    options = claim_runs.ClaimOptions(scale="smoke", collection=str(folder))
    stages, (rows, _) = plan(lambda submit: claim_runs.asked(options, 0, submit), tmp_path)
    collections = [stage.config for stage in stages if isinstance(stage.config, Prepare)]
    assert collections and {one.location for one in collections} == {str(folder)}
    assert {run.data.location for run in rows.values()} == {str(folder)}


def test_the_grid_takes_it_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"scale": "smoke", "grids": ("plms",), "dry_run": True}
    run_grid(GridOptions(collection=str(folder), results=tmp_path / "results", **options))  # type: ignore[arg-type]
    assert "stages to do" in capsys.readouterr().out and list(tmp_path.iterdir()) == []


REGISTERING = """
from simlm.data.opening import open_collection
from simlm.data.irds import ir_datasets

smoke = open_collection("insuranceqa-smoke")
ir_datasets.registry.register("tiny/answers", ir_datasets.Dataset(smoke.docs.docs_handler()))
for split, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
    ir_datasets.registry.register(f"tiny/answers/{name}", smoke.dataset(split))
"""
"""What Python runs at its start: stages have processes of their own, which must know the data set too."""


def test_a_data_set_of_ir_datasets_is_prepared_by_a_stage(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(REGISTERING)
    command = [sys.executable, "-m", "repro.data", "prepare", "irds:tiny/answers", "--scale", "smoke"]
    ran = subprocess.run(
        [*command, "--results", str(tmp_path / "results")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'path'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("tiny/answers: 600 passages; train 64 queries")
