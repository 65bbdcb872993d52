"""Enc-Dec MLM: what each side reads, which tokens count, and both losses against a loop in float64."""

import pytest
import torch

from ablations.objectives.enc_dec_mlm import EncDecMLM
from tests.ablations.objectives.bottleneck import (
    assert_decoder_sees_cls_alone,
    gradient_places,
    ordinary,
    special_batch,
    tokens_read,
    word_loss,
)
from tests.pretraining.toys import CONFIG, MASK, PIECES, bert


def exact_objective() -> EncDecMLM:
    """In float64, without dropout."""
    objective = EncDecMLM.build(bert(), None, PIECES, CONFIG)
    return objective.double().eval()


def test_each_side_reads_mask_where_it_is_masked() -> None:
    batch = special_batch()
    for ids, name in zip(tokens_read(exact_objective(), batch), ("encoder_mask", "decoder_mask"), strict=True):
        assert torch.equal(ids, torch.where(batch[name], MASK, batch["input_ids"]))
    assert (batch["decoder_mask"] | ~batch["encoder_mask"]).all()
    assert (batch["decoder_mask"] & ~batch["encoder_mask"]).any()


def test_both_losses_against_a_loop() -> None:
    objective, batch = exact_objective(), special_batch()
    ids, attention, types = batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
    outputs = objective(**batch)
    seen = torch.where(batch["encoder_mask"], MASK, ids)
    hidden = objective.encoder.bert(input_ids=seen, attention_mask=attention, token_type_ids=types).last_hidden_state
    decoded = objective.model.decode(hidden[:, 0], torch.where(batch["decoder_mask"], MASK, ids), attention)
    encoder_loss = word_loss(objective, hidden, ids, batch["encoder_mask"])
    decoder_loss = word_loss(objective, decoded, ids, batch["decoder_mask"])
    assert outputs["encoder_loss"].item() == pytest.approx(encoder_loss, rel=1e-12)
    assert outputs["decoder_loss"].item() == pytest.approx(decoder_loss, rel=1e-12)
    assert outputs["loss"].item() == pytest.approx(encoder_loss + decoder_loss, rel=1e-12)
    assert outputs["loss"].requires_grad
    assert not outputs["encoder_loss"].requires_grad and not outputs["decoder_loss"].requires_grad


def test_only_masked_tokens_count_and_no_special_one() -> None:
    batch = special_batch()
    encoder, decoder = gradient_places(exact_objective(), batch)
    assert encoder[:, 0].all()  # through the decoder
    assert torch.equal(encoder[:, 1:], batch["encoder_mask"][:, 1:])
    assert torch.equal(decoder, batch["decoder_mask"])
    assert not (decoder & ~ordinary(batch)).any()


def test_decoder_sees_cls_and_nothing_else_of_the_encoder() -> None:
    assert_decoder_sees_cls_alone(exact_objective(), special_batch())
