"""AutoEncoder: clean text in, nothing but [CLS] across, and the decoder's loss against a loop in float64."""

import pytest
import torch

from ablations.objectives.autoencoder import AutoEncoder
from tests.ablations.objectives.bottleneck import (
    SPECIALS,
    assert_decoder_sees_cls_alone,
    gradient_places,
    ordinary,
    special_batch,
    tokens_read,
    word_loss,
)
from tests.pretraining.toys import CONFIG, MASK, PIECES, bert


def exact_objective() -> AutoEncoder:
    """In float64, without dropout."""
    objective = AutoEncoder.build(bert(), None, PIECES, CONFIG)
    return objective.double().eval()


def test_encoder_reads_the_passage_and_decoder_no_word_of_it() -> None:
    batch = special_batch()
    encoder_ids, decoder_ids = tokens_read(exact_objective(), batch)
    assert torch.equal(encoder_ids, batch["input_ids"])
    for original, read in zip(batch["input_ids"].flatten().tolist(), decoder_ids.flatten().tolist(), strict=True):
        assert read == (original if original in SPECIALS else MASK)


def test_loss_against_a_loop() -> None:
    objective, batch = exact_objective(), special_batch()
    ids, attention, types = batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
    outputs = objective(**batch)
    hidden = objective.encoder.bert(input_ids=ids, attention_mask=attention, token_type_ids=types).last_hidden_state
    decoded = objective.model.decode(hidden[:, 0], torch.where(ordinary(batch), MASK, ids), attention)
    assert outputs["loss"].item() == pytest.approx(word_loss(objective, decoded, ids, ordinary(batch)), rel=1e-12)
    assert outputs["loss"].requires_grad


def test_every_word_counts_on_the_decoder_side_alone_and_no_special_token() -> None:
    batch = special_batch()
    encoder, decoder = gradient_places(exact_objective(), batch)
    assert encoder[:, 0].all() and not encoder[:, 1:].any()
    assert torch.equal(decoder, ordinary(batch))


def test_decoder_sees_cls_and_nothing_else_of_the_encoder() -> None:
    assert_decoder_sees_cls_alone(exact_objective(), special_batch(), "loss")


def test_masks_play_no_part() -> None:
    objective, batch = exact_objective(), special_batch()
    other = batch | {name: torch.zeros_like(batch[name]) for name in ("encoder_mask", "decoder_mask")}
    assert torch.equal(objective(**other)["loss"], objective(**batch)["loss"])
