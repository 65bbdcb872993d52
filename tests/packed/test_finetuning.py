"""Packed equals padded: the bi-encoder's losses and the re-ranker's scores and losses, with their gradients."""

import copy

import pytest
import torch
from transformers import ElectraForSequenceClassification

from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.reranker import Reranker, reranker_from_encoder
from simlm.packed.biencoder import PackedBiEncoder
from simlm.packed.forwards import prepare
from simlm.packed.inputs import pack
from simlm.packed.reranker import PackedReranker
from tests.packed.toys import PAD, assert_near, filled, gradients, padded, row
from tests.pretraining.toys import bert

QUERIES = [row(100 + number, 3 + number) for number in range(4)]
PASSAGES = [row(200 + number, 4 + 7 * number % 13) for number in range(12)]


@pytest.mark.parametrize("alpha", [None, 0.2])
def test_bi_encoder(alpha: float | None) -> None:
    encoder = bert().bert
    model = BiEncoder(encoder, 0.05, alpha)
    other = PackedBiEncoder(BiEncoder(copy.deepcopy(encoder), 0.05, alpha))
    prepare(other, compiled=False)
    scores = None if alpha is None else torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    expected = model(padded(QUERIES), padded(PASSAGES), scores)
    outputs = other(filled(QUERIES), filled(PASSAGES), scores)
    assert outputs["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-5)
    assert torch.equal(outputs["reciprocal_ranks"], expected["reciprocal_ranks"])
    assert_near(gradients(other.biencoder, outputs["loss"]), gradients(model, expected["loss"]))


def test_bi_encoder_refuses_what_the_padded_one_refuses() -> None:
    with pytest.raises(ValueError, match="trains with teacher scores"):
        PackedBiEncoder(BiEncoder(bert().bert, 0.05, 0.2))(pack(QUERIES, PAD), pack(PASSAGES, PAD))


def test_bi_encoder_encodes_as_the_padded_one() -> None:
    model = BiEncoder(bert().bert, 0.05)
    expected = model.encode(padded(PASSAGES))
    prepare(model, compiled=False)
    assert torch.allclose(PackedBiEncoder(model).encode(filled(PASSAGES)), expected, atol=1e-6)


def rerankers() -> tuple[Reranker, PackedReranker]:
    torch.manual_seed(4)
    model: ElectraForSequenceClassification = reranker_from_encoder(bert().bert)
    other = PackedReranker(copy.deepcopy(model))
    prepare(other, compiled=False)
    return Reranker(model), other


def test_reranker_scores() -> None:
    model, other = rerankers()
    assert torch.allclose(other.eval().score(filled(PASSAGES)), model.eval().score(padded(PASSAGES)), atol=1e-6)


@pytest.mark.parametrize("keep", [3, 6])
def test_reranker_loss(keep: int) -> None:
    model, other = rerankers()
    expected = model(padded(PASSAGES), group_size=6, keep=keep)
    outputs = other(PASSAGES, group_size=6, keep=keep, packed=lambda rows: pack(rows, PAD))
    assert torch.allclose(outputs["scores"], expected["scores"], atol=1e-6)
    assert outputs["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-5)
    assert_near(gradients(other, outputs["loss"]), gradients(model, expected["loss"]))
    assert other.training
