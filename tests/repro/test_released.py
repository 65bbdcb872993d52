"""`--released`: published checkpoints end to end, from folders that look like the Hub's repositories."""

import gzip
import json
import shutil
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
from tests.repro.commands import released

MEASURED = ["bm25", "ance", "tas-b", "cocondenser", "colbertv2", "simlm", "simlm-reranker"]
PASSAGES = [json.loads(line) for line in gzip.decompress(replica()["passages.jsonl.gz"]).splitlines()]
PAPER: dict[str, Any] = {"scale": "paper", "released": True}
QUERIES = [f"dev query {number}" for number in range(5)]


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
    assert "measured beside published" in measure("table2", folder, models, archives)
    return folder


def measure(table: str, results: Path, models: Path, archives: Path) -> str:
    """What the command prints that measures the checkpoints of a table."""
    ran = released(table, "--collection", str(archives), "--models", str(models), "--results", str(results))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def report_in(results: Path, name: str = "table2") -> dict[str, Any]:
    (path,) = results.glob(f"paper/released_own-models_collection-*/{name}.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def job(results: Path, name: str, table: str = "table2") -> Path:
    (identifier,) = [stage["identifier"] for stage in report_in(results, table)["stages"] if stage["name"] == name]
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
    results: Path, models: Path, archives: Path, tmp_path: Path, dry_run: Callable[..., str]
) -> None:
    moved = str(shutil.copytree(archives, tmp_path / "archives")), shutil.copytree(models, tmp_path / "models")
    said = dry_run("table2", ReleasedOptions, **PAPER, collection=moved[0], models=moved[1], results=results)
    assert "\n0 of 18 stages to do" in said


def test_table_4_has_dpr_and_says_that_simlm_needs_training(results: Path, models: Path, archives: Path) -> None:
    measure("table4", results, models, archives)
    report = report_in(results, "table4")
    assert [row["key"] for row in report["rows"] if row["measured"]] == ["dpr"]
    notes = {row["key"]: row["note"] for row in report["rows"]}
    assert "No SimLM fine-tuned on NQ was released" in notes["simlm-nq"]
    assert {(one["column"], one["published"]) for one in report["marks"]} == {("r20", 78.4), ("r100", 85.4)}
    found = np.load(job(results, "DPR (single): runs", "table4") / "output" / "passages" / "shard-00000.npy")
    folder = models / "facebook--dpr-ctx_encoder-single-nq-base"
    model, tokenizer = DPRContextEncoder.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for number in (0, 1, 39):
        ids = tokenizer(PASSAGES[number]["title"], PASSAGES[number]["contents"], return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected = model(ids).pooler_output[0].numpy()
        np.testing.assert_allclose(found[number], expected, atol=1e-4)


def test_table_3_measures_both_indexes_on_disk(results: Path, models: Path, archives: Path) -> None:
    measure("table3", results, models, archives)
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
    dry_run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simlm.data.checks.check_room", lambda *_: None)  # forty passages stand for millions
    assert "simlm-1" not in {row["key"] for row in report_in(results)["rows"]}
    name = "intfloat--simlm-base-msmarco"
    shutil.copytree(models / f"{name}-finetuned", tmp_path / name)
    options = {"collection": str(archives), "models": tmp_path, "results": tmp_path / "results", "rows": ("simlm-1",)}
    said = dry_run("table2", ReleasedOptions, **PAPER, **options)
    assert "SimLM, fine-tuned here: Retriever1" in said
    assert "negatives of the" in said and "\n5 of 5 stages to do" in said
    assert not (tmp_path / "results").exists()


def test_marks_are_fair_on_the_whole_collection_only() -> None:
    whole = (8_841_823, 6_980)
    assert MSMARCO.is_whole("msmarco", *whole) and MSMARCO.is_whole("released archives", *whole)
    assert not MSMARCO.is_whole("msmarco-titleless", *whole) and not NQ.is_whole("nq", *whole)
    assert not MSMARCO.is_whole("msmarco", 8_841_823, 5)


def refused(said: str, results: Path, **options: Any) -> None:
    given = ReleasedOptions(**PAPER | {"results": results} | options)
    with pytest.raises(UserError, match=said):
        check(given)
        run_table(table2(), given)
    assert not results.exists()


def test_options_that_do_not_go_with_it(models: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    refused("add --scale paper", results, scale="smoke")
    refused("nowhere is missing", results, models=tmp_path / "nowhere")
    refused("leave out --negatives and --seed", results, models=models, seed=1)
    refused("--models is for --released", results, models=models, released=False)
    refused("--publish is for the whole table", results, models=models, publish=True)
    refused("unknown row 'x'", results, models=models, rows=("x",))
    refused(r"--rows rocketqa: RocketQA: Its authors published weights for Paddle", results, rows=("rocketqa",))
    refused("none of the published checkpoints is in", results, models=tmp_path)
    assert not hasattr(Options(), "released")


def test_a_re_ranker_needs_the_run_that_it_re_ranks(models: Path, tmp_path: Path) -> None:
    name = "intfloat--simlm-msmarco-reranker"
    shutil.copytree(models / name, tmp_path / "models" / name)
    said = "SimLM, re-ranker: Not measured: intfloat/simlm-base-msmarco-finetuned is not in the folder of models"
    refused(said, tmp_path / "results", models=tmp_path / "models", rows=("simlm-reranker",))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", None, "not a model folder, its config.json is missing"),
        ("config.json", b"{", "its config.json is no JSON"),
        ("model.safetensors", None, "no model.safetensors and no pytorch_model.bin"),
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
