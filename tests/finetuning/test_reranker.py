"""The re-ranker, beside what `tests/golden` compares with the released values: its head, which pairs it keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertModel,
    ElectraConfig,
    ElectraForSequenceClassification,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
)

from simlm.finetuning.losses import top_1_accuracy
from simlm.finetuning.reranker import Reranker, RerankerCollator, best
from simlm.models.load import reranker_from_encoder
from simlm.packed.texts import Padded as PaddedLayout
from tests.packed.toys import SPECIALS

Padded = Callable[[list[int]], dict[str, Tensor]]
LENGTHS = [9, 12, 7, 20, 3, 6, 4, 15]


def test_a_bert_encoder_becomes_an_electra_reranker(bert: BertModel, padded: Padded, tmp_path: Path) -> None:
    inputs = padded(LENGTHS)
    model = reranker_from_encoder(bert.eval()).eval()
    assert isinstance(model, ElectraForSequenceClassification)
    assert model.config._attn_implementation == "sdpa"
    expected = bert(**inputs, output_hidden_states=True).hidden_states
    hidden = model.electra(**inputs, output_hidden_states=True).hidden_states
    assert len(hidden) == len(expected) == 4
    for layer, states in zip(expected, hidden, strict=True):
        assert torch.equal(layer, states)
    assert model.electra.embeddings.word_embeddings.weight is not bert.embeddings.word_embeddings.weight
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    assert loaded.config.num_labels == 1


def test_an_electra_encoder_keeps_its_projection(padded: Padded) -> None:
    size: dict[str, Any] = {"vocab_size": 40, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 2}
    encoder = ElectraModel(ElectraConfig(**size, num_attention_heads=2, intermediate_size=24)).eval()
    model = reranker_from_encoder(encoder).eval()
    inputs = padded(LENGTHS)
    assert torch.equal(model.electra(**inputs)[0], encoder(**inputs)[0])


def test_other_encoders_are_refused() -> None:
    size: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder: Any = RobertaModel(RobertaConfig(**size))
    with pytest.raises(TypeError, match="RobertaModel"):
        reranker_from_encoder(encoder)


def test_two_logits_are_refused() -> None:
    config = ElectraConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(ValueError, match="one logit"):
        Reranker(ElectraForSequenceClassification(config))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_without_dropout_a_pair_is_scored_once_and_the_loss_is_the_listwise_one(dropout: float) -> None:
    size: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = ElectraConfig(**size, **rates, intermediate_size=24, num_labels=1)
    reranker = Reranker(ElectraForSequenceClassification(config)).train()
    ids = np.arange(5, 14, dtype=np.int32)
    pairs = [[(ids[: 4 + place + row], np.zeros(4 + place + row, np.int8)) for place in range(3)] for row in range(2)]
    batch = RerankerCollator(PaddedLayout(SPECIALS), 3)(pairs)
    scored: list[int] = []
    score = reranker.score
    reranker.score = lambda inputs: scored.append(len(inputs["input_ids"])) or score(inputs)  # type: ignore
    loss = reranker(batch)["loss"]
    assert scored == [12 if dropout else 6]
    if not dropout:
        logits = batch.pairs.apply(score).view(2, 3)
        assert float(loss) == pytest.approx(float((logits.logsumexp(dim=1) - logits[:, 0]).mean()), rel=1e-6)


def test_best_keeps_the_positive_and_then_the_highest() -> None:
    scores = torch.tensor([[0.0, 5.0, 3.0, 4.0], [9.0, 1.0, 2.0, 3.0]])
    assert best(scores, 3).tolist() == [[0, 1, 3], [0, 3, 2]]
    assert best(scores, 2).tolist() == [[0, 1], [0, 3]]
    assert best(scores, 9).tolist() == [[0, 1, 3, 2], [0, 3, 2, 1]]


def test_top_1_accuracy_counts_no_ties() -> None:
    scores = torch.tensor([[2.0, 1.0], [1.0, 1.0], [0.0, 3.0], [5.0, 4.9]])
    assert top_1_accuracy(scores).item() == 0.5
