"""An exported re-ranker: CrossEncoder gives the logits that our own scorer gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, ElectraForSequenceClassification

from simlm.export.reranker import write_reranker
from simlm.finetuning.datasets import Pairs
from simlm.finetuning.reranker import Reranker
from simlm.finetuning.scoring import PairScorer
from simlm.models.shapes import load_reranker, load_reranker_start, save_model
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from tests.export.toys import PAIR_LENGTH, PASSAGES, QUERIES, tokenised
from tests.pretraining.toys import TOKENIZER, bert, electra


@pytest.mark.parametrize("start", [bert, electra])
@pytest.mark.parametrize("titled", [False, True])
def test_scores_are_our_logits(titled: bool, start: Callable[[], Any], tmp_path: Path) -> None:
    save_model(start(), TOKENIZER, tmp_path / "start", "a start", {})
    model = load_reranker_start(tmp_path / "start", TOKENIZER, 0.1)
    torch.nn.init.normal_(model.classifier.out_proj.weight, std=3.0)  # so that a sigmoid would show
    save_model(model, TOKENIZER, tmp_path / "source", "a re-ranker", {})
    write_reranker(tmp_path / "source", tmp_path / "export", "a re-ranker", PAIR_LENGTH, titled, {})

    pairs = Pairs(tokenised(tmp_path / "store", titled), "train", PAIR_LENGTH)
    queries, passages = np.divmod(np.arange(len(QUERIES["train"]) * len(PASSAGES)), len(PASSAGES))
    assert max(len(pairs(q, p)[0]) for q, p in zip(queries.tolist(), passages.tolist(), strict=True)) == PAIR_LENGTH
    reranker = Reranker(load_reranker(tmp_path / "source", TOKENIZER)).eval()
    score = Inference(reranker.score, Padded(pairs.specials), torch.device("cpu"))
    own = PairScorer(score, pairs, 1_000)(queries, passages)
    assert np.ptp(own) > 1 and (own.min() < 0 or own.max() > 1)

    texts = [f"{row.title}: {row.text}" if titled and row.title else row.text for row in PASSAGES]
    given = [(QUERIES["train"][q].text, texts[p]) for q, p in zip(queries, passages, strict=True)]
    crossed = CrossEncoder(str(tmp_path / "export"), device="cpu")
    assert crossed.num_labels == 1 and isinstance(crossed.model, ElectraForSequenceClassification)
    np.testing.assert_allclose(crossed.predict(given, batch_size=5), own, atol=1e-5, rtol=0)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    inputs = tokenizer(*map(list, zip(*given, strict=True)), truncation=True, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export").eval()(**inputs).logits
    np.testing.assert_allclose(logits[:, 0].numpy(), own, atol=1e-5, rtol=0)
    card = (tmp_path / "export" / "README.md").read_text(encoding="utf-8")
    assert ('"title: text"' in card) == titled and f"cut at {PAIR_LENGTH} tokens" in card and "raw logit" in card
