"""Exported models: other libraries give the vectors and the logits that our own encoder and scorer give, and the check
of an export says so."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, ElectraForSequenceClassification

from simlm.data.inputs import Specials, batch_inputs, passage_input, query_input
from simlm.data.tokenizer_training import train_byte_level_bpe
from simlm.errors import UserError
from simlm.export import check as checks
from simlm.export.check import GIVEN, Deviation, Sample, check_reranker, check_retriever, given_to_reranker
from simlm.export.models import Titles, write_reranker, write_retriever
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.datasets import Pairs
from simlm.finetuning.reranker import Reranker
from simlm.finetuning.scoring import PairScorer
from simlm.models.load import load_body, load_reranker, load_reranker_start
from simlm.models.save import save_model
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval.runs import Run
from tests.export.toys import (
    PAIR_LENGTH,
    PASSAGE_LENGTH,
    PASSAGES,
    QRELS,
    QUERIES,
    QUERY_LENGTH,
    retriever_folder,
    tokenised,
    toy_collection,
)
from tests.pretraining.toys import TOKENIZER, bert, electra
from tests.rows import collection_of

Vectors = np.ndarray[Any, Any]


def ours(folder: Path, store: Any) -> tuple[Vectors, Vectors]:
    """Vectors of the train queries and of the passages, as our retrieval makes them."""
    specials = Specials.of(store.tokenizer)
    encoder = BiEncoder(load_body(folder, store.tokenizer), temperature=1.0).eval()
    texts, passages = store.queries("train"), store.passages
    queries = [query_input(texts.text(i), QUERY_LENGTH, specials) for i in range(len(texts))]
    pairs = [passage_input(passages.title(i), passages.text(i), PASSAGE_LENGTH, specials) for i in range(len(passages))]
    assert max(len(ids) for ids, _ in queries) == QUERY_LENGTH and max(len(ids) for ids, _ in pairs) == PASSAGE_LENGTH
    with torch.inference_mode():
        one, other = (encoder.encode(batch_inputs(rows, specials)).numpy() for rows in (queries, pairs))
    return one, other


def by_sentence_transformers(folder: Path, passages: list[Any]) -> tuple[Vectors, Vectors]:
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == PASSAGE_LENGTH and model.similarity_fn_name == "dot"
    assert not any(model.prompts.values()) and model.default_prompt_name is None
    encoded = model.encode(passages, batch_size=4)
    model.max_seq_length = QUERY_LENGTH
    return model.encode([query.text for query in QUERIES["train"]]), encoded


def by_auto_model(folder: Path, passages: list[Any]) -> tuple[Vectors, Vectors]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def vectors(*texts: list[str], **limit: int) -> Vectors:
        inputs = tokenizer(*texts, truncation=True, padding=True, return_tensors="pt", **limit)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state[:, 0]
        return torch.nn.functional.normalize(states, dim=-1).numpy()

    columns = [passages] if isinstance(passages[0], str) else [list(column) for column in zip(*passages, strict=True)]
    # Without a limit of the caller's, the folder's own is that of passages.
    return vectors([query.text for query in QUERIES["train"]], max_length=QUERY_LENGTH), vectors(*columns)


@pytest.mark.parametrize("model", [bert, electra])
@pytest.mark.parametrize("titles", ["none", "pair"])
def test_both_loaders_give_our_vectors(titles: Titles, model: Callable[[], Any], tmp_path: Path) -> None:
    source = retriever_folder(model(), tmp_path)
    store = tokenised(tmp_path / "store", titled=titles == "pair")
    check(source, store, titles, tmp_path / "export")


def test_byte_level_pieces_and_joined_titles(tmp_path: Path) -> None:
    texts = [GIVEN["joined"](passage) for passage in PASSAGES]
    tokenizer = train_byte_level_bpe(texts, 300, tmp_path / "tokenizer")
    source = retriever_folder(bert(vocabulary=len(tokenizer)), tmp_path, tokenizer)
    check(source, tokenised(tmp_path / "store", True, tokenizer, segments=False), "joined", tmp_path / "export")


def check(source: Path, store: Any, titles: Titles, folder: Path) -> None:
    write_retriever(source, folder, "a retriever", QUERY_LENGTH, PASSAGE_LENGTH, titles, {})
    expected = ours(source, store)
    passages = [GIVEN[titles](passage) for passage in PASSAGES]
    for loaded in (by_sentence_transformers(folder, passages), by_auto_model(folder, passages)):
        for vectors, own in zip(loaded, expected, strict=True):
            np.testing.assert_allclose(vectors, own, atol=1e-5, rtol=0)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.ptp(expected[1], axis=0).max() > 0.1  # passages differ, so that a wrong one would show
    scores = expected[0] @ expected[1].T
    sample, known = negated(scores, store, titles != "none")
    assert_told(check_retriever(source, folder, sample, QUERY_LENGTH, PASSAGE_LENGTH, titles), known)
    with pytest.raises(UserError, match="gives scores that are up to .* from ours, and 1e-05 is allowed"):
        check_retriever(source, folder, sample, QUERY_LENGTH, PASSAGE_LENGTH - 1, titles)


def negated(scores: Vectors, store: Any, titled: bool) -> tuple[Sample, Deviation]:
    """A run whose scores are those of the train queries (3, 6) with the sign changed, and what a check finds."""
    order = np.argsort(scores, axis=1)
    run = Run(list(QRELS["train"]), order, -np.take_along_axis(scores, order, axis=1))
    sample = Sample(store, toy_collection(titled), "train", run, depth=5)
    kept = np.take_along_axis(scores, order[:, :5], axis=1)

    def rr(rows: Vectors) -> float:
        relevant = [{int(id[1:]) for id, grade in judged.items() if grade} for judged in QRELS["train"].values()]
        ranks = [
            [1 / rank for rank, p in enumerate(row, 1) if p in own] for row, own in zip(rows, relevant, strict=True)
        ]
        return float(np.mean([max(found, default=0) for found in ranks]))

    figures = rr(order[:, :5]), rr(order[:, 4::-1])
    return sample, Deviation(3, 15, 0, 2 * float(np.abs(kept).max()), figures)


def assert_told(found: Deviation, known: Deviation) -> None:
    assert (found.questions, found.pairs) == (known.questions, known.pairs)
    assert found[2:4] == pytest.approx(known[2:4], abs=2e-5) and found.rr == pytest.approx(known.rr)
    assert found.ours <= 1e-5 and found.rr is not None and found.rr[0] != found.rr[1]
    assert f"the run's (bfloat16); RR@10 {found.rr[0]:.4f} in the run, {found.rr[1]:.4f}" in found.told("bfloat16")


def test_a_check_takes_the_first_judged_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "QUESTIONS", 1)
    splits: dict[str, Any] = {split: (QUERIES[split], QRELS[split]) for split in QUERIES}
    collection = collection_of("toy", PASSAGES, splits | {"train": (QUERIES["train"], {"b": {"p3": 1}})})
    run = Run(
        ["a", "b", "c"], np.array([[0, 1], [3, -1], [2, 4]]), np.array([[2, 1], [2, -np.inf], [2, 1]], np.float32)
    )
    sample = Sample(tokenised(tmp_path), collection, "train", run, 2)
    assert sample.questions == {1: QUERIES["train"][1].text} and sample.texts == {3: PASSAGES[3]}
    assert (sample.queries.tolist(), sample.passages.tolist(), sample.scores.tolist()) == ([1], [3], [2])


@pytest.mark.parametrize(("largest", "allowed"), [(0.5003, 1e-5), (40.03, 4.003e-4)])
def test_what_differs_from_a_run_by_rounding_is_told_and_from_ours_refused(
    largest: float, allowed: float, tmp_path: Path
) -> None:
    """Rounded to bfloat16 the two scores are one, and the run has the passage first that is below the relevant one."""
    ours = np.array([largest * 0.9995, largest], np.float32)
    rounded = torch.from_numpy(ours).bfloat16().float().numpy()
    assert rounded[0] == rounded[1]
    splits: dict[str, Any] = {split: (QUERIES[split], QRELS[split]) for split in QUERIES}
    collection = collection_of("toy", PASSAGES, splits | {"train": (QUERIES["train"], {"b": {"p4": 1}})})
    run = Run(["a", "b", "c"], np.array(3 * [[3, 4]]), np.array(3 * [rounded]))
    sample = Sample(tokenised(tmp_path), collection, "train", run, 2)
    found = sample.held_against(ours + np.float32(0.9 * allowed), ours, tmp_path)
    assert found.run == pytest.approx(np.abs(ours - rounded[0]).max(), abs=allowed)
    assert found.rr == (0.5, 1.0) and found.told("bfloat16").endswith("(+0.5000), more than 0.001")
    with pytest.raises(UserError, match=f"and {allowed:.2g} is allowed"):
        sample.held_against(ours + np.float32(1.2 * allowed), ours, tmp_path)
    assert Deviation(1, 2, 0.0, 0.0, (0.5, 0.5009)).told("float32").endswith("(+0.0009)")


def test_the_card_says_how_queries_and_passages_are_given(tmp_path: Path) -> None:
    source = retriever_folder(bert(), tmp_path)
    cards: dict[str, str] = {}
    for titles in GIVEN:
        folder = tmp_path / titles
        write_retriever(source, folder, "SimLM", 32, 144, titles, {"last_loss": 0.5, "training_seconds": 3})
        cards[titles] = (folder / "README.md").read_text(encoding="utf-8")
        assert cards[titles].startswith("---\nlibrary_name: sentence-transformers") and "\n# SimLM\n" in cards[titles]
        assert "cut at 32 tokens, a passage at 144" in cards[titles] and "max_seq_length = 32" in cards[titles]
        assert '"last_loss": 0.5' in cards[titles] and "training_seconds" not in cards[titles]
        assert "{" not in cards[titles].replace("{\n", "")  # every place is filled
    assert "`[title, text]`" in cards["pair"] and "token types 0 and 1" in cards["pair"]
    assert "`[title, text]`" not in cards["none"] + cards["joined"]
    assert toy_collection().has_titles


def test_equal_models_give_equal_bytes_and_name_no_place(tmp_path: Path) -> None:
    source = retriever_folder(bert(), tmp_path)
    contents = []
    for name in ("one", "other"):
        write_retriever(source, tmp_path / name, "SimLM", 32, 144, "pair", {})
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert not any(os.fsencode(tmp_path) in content for content in contents[0].values())
    config = json.loads(contents[0][Path("tokenizer_config.json")])
    assert config["model_max_length"] == 144 and TOKENIZER.model_max_length != 144


@pytest.mark.parametrize("start", [bert, electra])
@pytest.mark.parametrize("titled", [False, True])
def test_scores_are_our_logits(titled: bool, start: Callable[[], Any], tmp_path: Path) -> None:
    save_model(start(), TOKENIZER, tmp_path / "start", "a start", {})
    model = load_reranker_start(tmp_path / "start", TOKENIZER, 0.1)
    torch.nn.init.normal_(model.classifier.out_proj.weight, std=3.0)  # so that a sigmoid would show
    save_model(model, TOKENIZER, tmp_path / "source", "a re-ranker", {})
    write_reranker(tmp_path / "source", tmp_path / "export", "a re-ranker", PAIR_LENGTH, titled, {})

    store = tokenised(tmp_path / "store", titled)
    pairs = Pairs(store, "train", PAIR_LENGTH)
    queries, passages = np.divmod(np.arange(len(QUERIES["train"]) * len(PASSAGES)), len(PASSAGES))
    assert max(len(pairs(q, p)[0]) for q, p in zip(queries.tolist(), passages.tolist(), strict=True)) == PAIR_LENGTH
    reranker = Reranker(load_reranker(tmp_path / "source", TOKENIZER)).eval()
    score = Inference(reranker.score, Padded(pairs.specials), torch.device("cpu"))
    own = PairScorer(score, pairs, 1_000)(queries, passages)
    assert np.ptp(own) > 1 and (own.min() < 0 or own.max() > 1)

    texts = [given_to_reranker(passage) for passage in toy_collection(titled).passages()]
    given = [(QUERIES["train"][q].text, texts[p]) for q, p in zip(queries, passages, strict=True)]
    crossed = CrossEncoder(str(tmp_path / "export"), device="cpu")
    assert crossed.num_labels == 1 and isinstance(crossed.model, ElectraForSequenceClassification)
    np.testing.assert_allclose(crossed.predict(given, batch_size=5), own, atol=1e-5, rtol=0)

    sample, known = negated(own.reshape(3, 6), store, titled)
    assert_told(check_reranker(tmp_path / "source", tmp_path / "export", sample, PAIR_LENGTH), known)
    with pytest.raises(UserError, match="is allowed"):
        check_reranker(tmp_path / "source", tmp_path / "export", sample, PAIR_LENGTH - 1)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    inputs = tokenizer(*map(list, zip(*given, strict=True)), truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export").eval()(**inputs).logits
    np.testing.assert_allclose(logits[:, 0].numpy(), own, atol=1e-5, rtol=0)
    card = (tmp_path / "export" / "README.md").read_text(encoding="utf-8")
    assert ('"title: text"' in card) == titled and f"cut at {PAIR_LENGTH} tokens" in card and "raw logit" in card
