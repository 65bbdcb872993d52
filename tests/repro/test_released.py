"""`--released`: published checkpoints end to end, from folders that look like the Hub's repositories."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertModel, DPRContextEncoder, RobertaModel

from repro.command import Options, check
from repro.released import ReleasedOptions
from repro.run import run_table
from repro.table2 import table2
from simlm.data.catalogue import MSMARCO, NQ
from simlm.data.released_archive import DISTILLATION
from simlm.errors import UserError
from tests.baselines.repositories import prebuilt, repositories
from tests.data.released import also, distillation, replica, unpacked
from tests.repro.commands import ROOT, finished

MEASURED = ["bm25", "ance", "tas-b", "cocondenser", "colbertv2", "simlm", "simlm-reranker"]
PASSAGES = [json.loads(line) for line in gzip.decompress(replica()["passages.jsonl.gz"]).splitlines()]
QUERIES = [f"dev query {number}" for number in range(5)]


def command(table: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"repro.{table}", "--scale", "paper", "--released", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finished(process)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Hub's repositories but RetroMAE's, one of them as <org>/<name>, and one of Pyserini's indexes."""
    folder = repositories(tmp_path_factory.mktemp("models"))
    prebuilt(folder / "msmarco-v1-passage", ((passage["id"], passage["contents"]) for passage in PASSAGES))
    (folder / "Luyu").mkdir()
    (folder / "Luyu--co-condenser-marco-retriever").rename(folder / "Luyu" / "co-condenser-marco-retriever")
    return folder


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of the released archives, and the one with teacher scores."""
    return also(unpacked(tmp_path_factory.mktemp("archives")), DISTILLATION, distillation())


@pytest.fixture(scope="module")
def results(models: Path, archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m repro.table2 --scale paper --released` leaves."""
    folder = tmp_path_factory.mktemp("released") / "results"
    ran = command("table2", "--collection", str(archives), "--models", str(models), "--results", str(folder))
    assert ran.returncode == 0, ran.stderr
    assert "measured beside published" in ran.stdout
    return folder


def report_in(results: Path, name: str = "table2") -> dict[str, Any]:
    (path,) = results.glob(f"paper/released_own-models_collection-*/{name}.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def job(results: Path, name: str) -> Path:
    (identifier,) = [stage["identifier"] for stage in report_in(results)["stages"] if stage["name"] == name]
    (found,) = results.glob(f"jobs/*/{identifier}")
    return found


def test_what_is_there_is_measured_and_the_rest_says_why_not(results: Path) -> None:
    report = report_in(results)
    assert [row["key"] for row in report["rows"] if row["measured"]] == MEASURED
    notes = {row["key"]: row["note"] for row in report["rows"]}
    assert "Shitao/RetroMAE_MSMARCO_finetune is not in the folder of models" in notes["retromae"]
    assert "PaddlePaddle only" in notes["rocketqa"] and "Luyu/condenser" in notes["condenser"]
    assert "https://huggingface.co/intfloat/simlm-base-msmarco-finetuned" in notes["simlm"]
    (said,) = [one for one in report["warnings"] if one.startswith("Measured were")]
    assert said.count("a folder of the reader's, digest") == len(MEASURED)


def test_bm25_stands_beside_the_authors_run(results: Path) -> None:
    (note,) = [one for one in report_in(results)["notes"] if one.startswith("BM25 beside the authors' own run")]
    assert "(dev.msmarco.txt of msmarco_bm25_official), by repro-eval over 1 queries" in note
    assert "root mean square error 1.0000 RR@10" in note


def test_the_released_re_ranker_stands_beside_the_authors_teacher_scores(results: Path) -> None:
    (note,) = [one for one in report_in(results)["notes"] if "beside the authors' teacher scores" in one]
    # All 40 passages are re-ranked, and each list has a positive and three negatives.
    assert note.startswith("SimLM, re-ranker: its logits") and "over 20 passages of 5 queries that both scored" in note


def test_marks_are_the_distance_from_what_is_printed_for_the_checkpoint(results: Path) -> None:
    report = report_in(results)
    found = {(one["row"], one["column"]): one for one in report["marks"]}
    means = {row["key"]: row["measured"]["RR@10"]["mean"] for row in report["rows"] if row["measured"]}
    assert found["simlm-reranker", "mrr10"]["published"] == 43.8, "the README's of the checkpoint, not Table 6's"
    assert found["tas-b", "mrr10"]["published"] == 34.0
    assert found["tas-b", "mrr10"]["measured"] == round(100 * means["tas-b"], 1)
    assert ("ance", "r50") not in found, "which the paper does not print"
    assert report["comparable"] is False and {one["verdict"] for one in report["marks"]} <= {"off", "close", "met"}
    (page,) = results.glob("paper/*/table2.md")
    assert "**This is not the collection that the published figures are of" in page.read_text()


def cls_of(model: Any, inputs: Any) -> np.ndarray:
    with torch.inference_mode():
        states: torch.Tensor = model.eval()(**inputs).last_hidden_state[:, 0]
    return states.numpy()


def simlm(folder: Path, title: str | None, text: str) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(title, text, return_tensors="pt") if title is not None else tokenizer(text, return_tensors="pt")
    vector = cls_of(AutoModel.from_pretrained(folder), inputs)[0]
    return vector / np.linalg.norm(vector)


def cocondenser(folder: Path, title: str | None, text: str) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole = text if title is None else title + tokenizer.sep_token + text
    ids = tokenizer(whole, return_tensors="pt")["input_ids"]
    model = BertModel(BertModel.config_class.from_pretrained(folder))
    model.load_state_dict(torch.load(folder / "pytorch_model.bin", weights_only=True))
    return cls_of(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})[0]


def ance(folder: Path, title: str | None, text: str) -> np.ndarray:
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    model = RobertaModel(RobertaModel.config_class.from_pretrained(folder))
    body = {name.removeprefix("roberta."): value for name, value in weights.items() if name.startswith("roberta.")}
    model.load_state_dict(body)
    ids = AutoTokenizer.from_pretrained(folder)(text.lower(), return_tensors="pt")["input_ids"]
    pooled = cls_of(model, {"input_ids": ids})[0].astype(np.float64)
    pooled = weights["embeddingHead.weight"].double().numpy() @ pooled + weights["embeddingHead.bias"].double().numpy()
    pooled = (pooled - pooled.mean()) / np.sqrt(pooled.var() + 1e-5)
    normalised: np.ndarray = pooled * weights["norm.weight"].double().numpy() + weights["norm.bias"].double().numpy()
    return normalised


def tas_b(folder: Path, title: str | None, text: str) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    vector: np.ndarray = SentenceTransformer(str(folder), device="cpu").encode([text])[0]
    return vector


ALONE: dict[str, tuple[str, str, Callable[[Path, str | None, str], np.ndarray]]] = {
    "SimLM": ("intfloat--simlm-base-msmarco-finetuned", "simlm", simlm),
    "coCondenser": ("Luyu/co-condenser-marco-retriever", "cocondenser", cocondenser),
    "ANCE": ("castorini--ance-msmarco-passage", "ance", ance),
    "TAS-B": ("sentence-transformers--msmarco-distilbert-base-tas-b", "tas-b", tas_b),
}


@pytest.mark.parametrize("label", ALONE)
def test_vectors_are_those_of_one_text_at_a_time_by_its_own_library(label: str, results: Path, models: Path) -> None:
    name, _, encode = ALONE[label]
    found = np.load(job(results, f"{label}: runs") / "output" / "passages" / "shard-00000.npy")
    for number in (0, 1, 17, 39):  # the first without a title
        passage = PASSAGES[number]
        expected = encode(models / name, passage["title"], passage["contents"])
        np.testing.assert_allclose(found[number], expected, atol=2e-4)


@pytest.mark.parametrize("label", ALONE)
def test_runs_are_those_of_every_product(label: str, results: Path, models: Path) -> None:
    name, _, encode = ALONE[label]
    output = job(results, f"{label}: runs") / "output"
    passages = np.load(output / "passages" / "shard-00000.npy").astype(np.float64)
    indices, scores = np.load(output / "test.indices.npy"), np.load(output / "test.scores.npy")
    for place, query in enumerate(QUERIES):
        products = passages @ encode(models / name, None, query)
        np.testing.assert_allclose(scores[place], products[indices[place]], rtol=1e-3, atol=1e-3)
        assert (np.diff(scores[place]) <= 0).all() and sorted(indices[place]) == list(range(len(PASSAGES)))


def test_two_processes_leave_the_runs_of_one(results: Path, models: Path, archives: Path, tmp_path: Path) -> None:
    again = tmp_path / "results"
    shutil.copytree(results, again, symlinks=True)
    shutil.rmtree(job(again, "SimLM: runs"))
    options = ("--collection", str(archives), "--models", str(models), "--results", str(again), "--device", "cpu")
    ran = command("table2", *options, "--rows", "simlm", "--processes", "2")
    assert ran.returncode == 0, ran.stderr
    stage = job(results, "SimLM: runs")
    one, two = (folder / stage.relative_to(results) / "output" for folder in (results, again))
    names = [sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) for folder in (one, two)]
    assert names[0] == names[1]
    for name in ("passages/shard-00000.npy", "test.scores.npy"):
        np.testing.assert_allclose(np.load(two / name), np.load(one / name), atol=1e-4)
    found, scores = np.load(two / "test.indices.npy"), np.load(one / "test.scores.npy")
    for place, order in enumerate(np.load(one / "test.indices.npy").tolist()):
        score_of = dict(zip(order, scores[place].tolist(), strict=True))
        # Passages can change places only where their scores are equal but for rounding.
        np.testing.assert_allclose([score_of[one] for one in found[place].tolist()], scores[place], atol=2e-4)


def test_the_re_ranker_orders_simlms_run_by_its_logit_for_title_colon_text(results: Path, models: Path) -> None:
    from sentence_transformers import CrossEncoder

    output = job(results, "SimLM, re-ranker: runs") / "output"
    indices, scores = np.load(output / "test.indices.npy"), np.load(output / "test.scores.npy")
    model = CrossEncoder(str(models / "intfloat--simlm-msmarco-reranker"), max_length=192, device="cpu")
    shown = [f"{p['title']}: {p['contents']}" if p["title"] else p["contents"] for p in PASSAGES]
    for place, query in enumerate(QUERIES):
        logits = model.predict([(query, text) for text in shown], activation_fn=torch.nn.Identity())
        np.testing.assert_allclose(scores[place], logits[indices[place]], atol=1e-4)
    assert (np.diff(scores, axis=1) < 0).all()


def test_every_weight_that_stages_read_is_safetensors(results: Path) -> None:
    models = list(results.glob("jobs/*publicmodel*/*/output/model"))
    assert len(models) == len(MEASURED) - 1
    assert all((model / "model.safetensors").is_file() and not list(model.glob("*.bin")) for model in models)


def test_moved_models_and_archives_are_the_same_stages(
    results: Path, models: Path, archives: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(models, tmp_path / "m"), shutil.copytree(archives, tmp_path / "a")
    options = ("--models", str(moved[0]), "--collection", str(moved[1]), "--results", str(results), "--dry-run")
    ran = command("table2", *options)
    assert ran.returncode == 0 and "\n0 of 18 stages to do" in ran.stdout, ran.stdout + ran.stderr


def test_table_4_has_dpr_and_says_that_simlm_needs_training(results: Path, models: Path, archives: Path) -> None:
    ran = command("table4", "--collection", str(archives), "--models", str(models), "--results", str(results))
    assert ran.returncode == 0, ran.stderr
    report = report_in(results, "table4")
    assert [row["key"] for row in report["rows"] if row["measured"]] == ["dpr"]
    notes = {row["key"]: row["note"] for row in report["rows"]}
    assert "No SimLM fine-tuned on NQ was released" in notes["simlm-nq"]
    assert {(one["column"], one["published"]) for one in report["marks"]} == {("r20", 78.4), ("r100", 85.4)}
    (identifier,) = [one["identifier"] for one in report["stages"] if one["name"] == "DPR (single): runs"]
    (path,) = results.glob(f"jobs/*/{identifier}/output/passages/shard-00000.npy")
    folder = models / "facebook--dpr-ctx_encoder-single-nq-base"
    model, tokenizer = DPRContextEncoder.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for number in (0, 1, 39):
        ids = tokenizer(PASSAGES[number]["title"], PASSAGES[number]["contents"], return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected = model(ids).pooler_output[0].numpy()
        np.testing.assert_allclose(np.load(path)[number], expected, atol=1e-4)


def test_table_3_measures_both_indexes_on_disk(results: Path, models: Path, archives: Path) -> None:
    ran = command("table3", "--collection", str(archives), "--models", str(models), "--results", str(results))
    assert ran.returncode == 0, ran.stderr
    late, simlm = report_in(results, "table3")["sections"][0]["rows"]
    assert (late["index"], late["paper, MS MARCO"]) == ("ColBERTv2", ">150GB")
    assert (simlm["index"], simlm["paper, MS MARCO"]) == ("SimLM", "27GB")
    folder = job(results, "ColBERTv2: runs") / "output" / "index"
    lengths = np.fromfile(folder / "lengths.bin", dtype=np.int32)
    assert len(lengths) == simlm["vectors"] == len(PASSAGES) and lengths.sum() == late["vectors"]
    assert late["bytes"] == late["vectors"] * 8 * 2 + 4 * len(PASSAGES)
    assert simlm["bytes"] > len(PASSAGES) * 16 * 4


def test_fine_tuning_the_released_pre_training_is_a_row_for_those_who_ask(
    results: Path,
    models: Path,
    archives: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "simlm-1" not in {row["key"] for row in report_in(results)["rows"]}
    name = "intfloat--simlm-base-msmarco"
    shutil.copytree(models / f"{name}-finetuned", tmp_path / name)
    given = {"scale": "paper", "released": True, "rows": ("simlm-1",), "dry_run": True}
    run_table(
        table2(),
        ReleasedOptions(collection=str(archives), models=tmp_path, results=tmp_path / "results", **given),  # type: ignore[arg-type]
    )
    said = capsys.readouterr().out
    assert "SimLM, fine-tuned here: Retriever1" in said
    assert "negatives of the" in said and "\n5 of 5 stages to do" in said
    assert not (tmp_path / "results").exists()


def test_marks_are_fair_on_the_whole_collection_only() -> None:
    whole = (8_841_823, 6_980)
    assert MSMARCO.is_whole("msmarco", *whole) and MSMARCO.is_whole("released archives", *whole)
    assert not MSMARCO.is_whole("msmarco-titleless", *whole) and not NQ.is_whole("nq", *whole)
    assert not MSMARCO.is_whole("msmarco", 8_841_823, 5)


def refused(said: str, results: Path, table: str = "table2", **options: Any) -> None:
    given = ReleasedOptions(**{"scale": "paper", "released": True, "results": results} | options)
    with pytest.raises(UserError, match=said):
        check(given)
        run_table(table2(), given)
    assert not results.exists()


def test_options_that_do_not_go_with_it(models: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    refused("add --scale paper", results, scale="smoke")
    refused("there is no such folder", results, models=tmp_path / "nowhere")
    refused("leave out --negatives and --seed", results, models=models, seed=1)
    refused("--models is for --released", results, models=models, released=False)
    refused("--publish is for the whole table", results, models=models, publish=True)
    refused("unknown row 'x'", results, models=models, rows=("x",))
    refused(r"--rows rocketqa: RocketQA: Its authors published weights for Paddle", results, rows=("rocketqa",))
    refused("none of the published checkpoints is in", results, models=tmp_path)
    assert not hasattr(Options(), "released")


def test_another_table_has_no_such_option(tmp_path: Path) -> None:
    ran = command("table7", "--results", str(tmp_path / "results"))
    assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1 and "--released" in ran.stderr
    assert not (tmp_path / "results").exists()


def test_a_re_ranker_needs_the_run_that_it_re_ranks(models: Path, tmp_path: Path) -> None:
    name = "intfloat--simlm-msmarco-reranker"
    shutil.copytree(models / name, tmp_path / "models" / name)
    said = "SimLM, re-ranker: Not measured: intfloat/simlm-base-msmarco-finetuned is not in the folder of models"
    refused(said, tmp_path / "results", models=tmp_path / "models", rows=("simlm-reranker",))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", None, "not a model folder, it has no config.json"),
        ("config.json", b"{", "config.json: no JSON"),
        ("model.safetensors", None, r"no \*.safetensors and no pytorch_model.bin"),
        ("model.safetensors", b"damaged", "damaged safetensors"),
    ],
)
def test_a_damaged_repository_is_one_line(
    file: str, content: bytes | None, said: str, models: Path, tmp_path: Path
) -> None:
    name = "intfloat--simlm-base-msmarco-finetuned"
    copied = shutil.copytree(models / name, tmp_path / "models" / name)
    (copied / file).unlink()
    if content is not None:
        (copied / file).write_bytes(content)
    refused(said, tmp_path / "results", models=tmp_path / "models")
