"""The encoder of a published system against plain loops and sentence-transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoTokenizer, DPRContextEncoder, DPRQuestionEncoder

from baselines.encoder import load_encoder
from simlm.errors import UserError
from simlm.models.fetch import copy_model
from tests.baselines.repositories import ance, bert, distilbert, dpr

TEXTS = ["text 1", "title 2 text 3456789", "query"]


def inputs(folder: Path, *texts: list[str]) -> dict[str, torch.Tensor]:
    found = AutoTokenizer.from_pretrained(folder)(*texts, padding=True, return_tensors="pt")
    if "token_type_ids" not in found:
        found["token_type_ids"] = torch.zeros_like(found["input_ids"])
    return dict(found)


@pytest.mark.parametrize("normalised", [False, True])
def test_mean_pooling_is_sentence_transformers(normalised: bool, tmp_path: Path) -> None:
    bert(tmp_path / "model", 1)
    body = Transformer(str(tmp_path / "model"))
    plain = SentenceTransformer(modules=[body, Pooling(16, pooling_mode="mean")], device="cpu")
    with torch.inference_mode():
        found = load_encoder(tmp_path / "model", "mean", normalised=normalised)(inputs(tmp_path / "model", TEXTS))
    expected = plain.encode(TEXTS, normalize_embeddings=normalised)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [DPRContextEncoder, DPRQuestionEncoder])
def test_dpr_gives_its_own_pooler_output_with_no_types(
    kind: type[DPRContextEncoder] | type[DPRQuestionEncoder], tmp_path: Path
) -> None:
    dpr(tmp_path / "hub", kind, 3)
    copy_model(str(tmp_path / "hub"), "main", tmp_path / "model")
    pairs = inputs(tmp_path / "model", TEXTS, TEXTS)
    assert pairs["token_type_ids"].any()
    with torch.inference_mode():
        found = load_encoder(tmp_path / "model", "cls")(pairs)
        model = kind.from_pretrained(tmp_path / "model").eval()
        expected = model(pairs["input_ids"], attention_mask=pairs["attention_mask"]).pooler_output
        typed = load_encoder(tmp_path / "model", "cls", token_types=True)(pairs)
        with_types = model(**pairs).pooler_output
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(typed, with_types)
    assert not torch.allclose(found, typed, atol=1e-3)


def test_pooling_that_the_repository_contradicts_is_refused(tmp_path: Path) -> None:
    distilbert(tmp_path / "model")
    load_encoder(tmp_path / "model", "cls")
    with pytest.raises(
        UserError, match=r"1_Pooling.*says cls pooling, and the declaration in baselines/systems.py mean"
    ):
        load_encoder(tmp_path / "model", "mean")
    path = tmp_path / "model" / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"word_embedding_dimension": 16, "pooling_mode": "mean"}))
    load_encoder(tmp_path / "model", "mean")
    path.write_text("[]")
    with pytest.raises(UserError, match="cannot be read"):
        load_encoder(tmp_path / "model", "mean")


def test_a_head_that_the_weights_lack_is_refused(tmp_path: Path) -> None:
    ance(tmp_path / "hub")
    copy_model(str(tmp_path / "hub"), "main", tmp_path / "model")
    load_encoder(tmp_path / "model", "cls", ("embeddingHead", "norm"))
    with pytest.raises(UserError, match="its weights lack 'projection.weight'"):
        load_encoder(tmp_path / "model", "cls", ("embeddingHead", "projection"))
