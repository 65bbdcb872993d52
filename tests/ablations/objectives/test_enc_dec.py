"""AutoEncoder, Enc-Dec MLM and Enc-Dec RTD: what each side reads, which tokens count, losses against float64 loops."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ablations.objectives.autoencoder import AutoEncoder
from ablations.objectives.detection import detection_head
from ablations.objectives.enc_dec_mlm import EncDecMLM
from ablations.objectives.enc_dec_rtd import EncDecRTD
from tests.ablations.objectives.bottleneck import (
    SPECIALS,
    always_first_word,
    detection_loop,
    exact_objective,
    gradient_places,
    ordinary,
    outputs_moved,
    special_batch,
    tokens_read,
    word_loss,
)
from tests.pretraining.toys import MASK

TWO_SIDED = [EncDecMLM, EncDecRTD]


def states(objective: Any, batch: dict[str, Tensor], encoder_ids: Tensor, decoder_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Last states (B, L, H) of both sides that read these tokens, the encoder's by transformers alone."""
    attention = batch["attention_mask"]
    hidden = objective.encoder.bert(
        input_ids=encoder_ids, attention_mask=attention, token_type_ids=batch["token_type_ids"]
    ).last_hidden_state
    return hidden, objective.model.decode(hidden[:, 0], decoder_ids, attention)


def test_the_autoencoders_encoder_reads_the_passage_and_its_decoder_no_word_of_it() -> None:
    batch = special_batch()
    encoder_ids, decoder_ids = tokens_read(exact_objective(AutoEncoder), batch)
    assert torch.equal(encoder_ids, batch["input_ids"])
    for original, read in zip(batch["input_ids"].flatten().tolist(), decoder_ids.flatten().tolist(), strict=True):
        assert read == (original if original in SPECIALS else MASK)


def test_each_side_of_enc_dec_mlm_reads_mask_where_it_is_masked() -> None:
    batch = special_batch()
    read = tokens_read(exact_objective(EncDecMLM), batch)
    for ids, name in zip(read, ("encoder_mask", "decoder_mask"), strict=True):
        assert torch.equal(ids, torch.where(batch[name], MASK, batch["input_ids"]))
    assert (batch["decoder_mask"] | ~batch["encoder_mask"]).all()
    assert (batch["decoder_mask"] & ~batch["encoder_mask"]).any()


def test_each_side_of_enc_dec_rtd_reads_its_own_replacements() -> None:
    batch = special_batch()
    original = batch["input_ids"]
    encoder_ids, decoder_ids = tokens_read(exact_objective(EncDecRTD), batch)
    for ids, name in ((encoder_ids, "encoder_mask"), (decoder_ids, "decoder_mask")):
        assert torch.equal(ids[~batch[name]], original[~batch[name]])
        assert (ids != original)[batch[name]].any()
    assert (encoder_ids != decoder_ids)[batch["encoder_mask"]].any()


def test_the_autoencoders_loss_against_a_loop() -> None:
    objective, batch = exact_objective(AutoEncoder), special_batch()
    ids = batch["input_ids"]
    _, decoded = states(objective, batch, ids, torch.where(ordinary(batch), MASK, ids))
    expected = word_loss(objective, decoded, ids, ordinary(batch))
    assert objective(**batch)["loss"].item() == pytest.approx(expected, rel=1e-12)


def assert_losses(outputs: dict[str, Tensor], encoder: float, decoder: float) -> None:
    assert outputs["encoder_loss"].item() == pytest.approx(encoder, rel=1e-10)
    assert outputs["decoder_loss"].item() == pytest.approx(decoder, rel=1e-10)
    assert outputs["loss"].item() == pytest.approx(encoder + decoder, rel=1e-10)


def test_losses_of_enc_dec_mlm_against_a_loop() -> None:
    objective, batch = exact_objective(EncDecMLM), special_batch()
    ids, masks = batch["input_ids"], (batch["encoder_mask"], batch["decoder_mask"])
    sides = states(objective, batch, *(torch.where(mask, MASK, ids) for mask in masks))
    expected = [word_loss(objective, hidden, ids, mask) for hidden, mask in zip(sides, masks, strict=True)]
    assert_losses(objective(**batch), *expected)


@pytest.mark.parametrize("as_original", [False, True])
def test_losses_of_enc_dec_rtd_against_a_loop(as_original: bool) -> None:
    """Also where samples equal the originals, which then count as originals."""
    objective = exact_objective(EncDecRTD)
    batch = always_first_word(objective) if as_original else special_batch()
    read, original = tokens_read(objective, batch), batch["input_ids"]
    assert torch.equal(read[0][0], original[0]) is as_original and not torch.equal(read[0][1], original[1])
    sides = zip(states(objective, batch, *read), read, strict=True)
    expected = [detection_loop(objective, hidden, ids, original, ordinary(batch)) for hidden, ids in sides]
    assert_losses(objective(**batch), *expected)


@pytest.mark.parametrize("kind", [AutoEncoder, *TWO_SIDED])
def test_which_tokens_count(kind: Any) -> None:
    """Masked words of Enc-Dec MLM, every word of the others, and no special token; all of them train [CLS]."""
    batch = special_batch()
    encoder, decoder = gradient_places(exact_objective(kind), batch)
    words, none = ordinary(batch), torch.zeros_like(encoder)
    expected = {
        AutoEncoder: (none, words),
        EncDecMLM: (batch["encoder_mask"], batch["decoder_mask"]),
        EncDecRTD: (words, words),
    }[kind]
    assert encoder[:, 0].all() and torch.equal(encoder[:, 1:], expected[0][:, 1:])
    assert torch.equal(decoder, expected[1]) and not (decoder & ~words).any()


@pytest.mark.parametrize("kind", [AutoEncoder, *TWO_SIDED])
def test_decoder_sees_cls_and_nothing_else_of_the_encoder(kind: Any) -> None:
    objective, batch = exact_objective(kind), special_batch()
    before = objective(**batch)
    others, cls = (outputs_moved(objective, batch, places) for places in (slice(1, None), slice(1)))
    decoder = "loss" if kind is AutoEncoder else "decoder_loss"
    assert torch.equal(others[decoder], before[decoder]) and not torch.equal(cls[decoder], before[decoder])
    if kind is not AutoEncoder:
        assert torch.equal(cls["encoder_loss"], before["encoder_loss"])
        assert not torch.equal(others["encoder_loss"], before["encoder_loss"])


def test_masks_play_no_part_in_the_autoencoder() -> None:
    objective, batch = exact_objective(AutoEncoder), special_batch()
    other = batch | {name: torch.zeros_like(batch[name]) for name in ("encoder_mask", "decoder_mask")}
    assert torch.equal(objective(**other)["loss"], objective(**batch)["loss"])


def test_both_sides_of_enc_dec_rtd_share_the_head() -> None:
    objective = exact_objective(EncDecRTD)
    with torch.no_grad():
        objective.head[-1].weight.zero_()
        objective.head[-1].bias.zero_()
    assert_losses(objective(**special_batch()), math.log(2), math.log(2))


def test_the_detection_head_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = detection_head(32, 0.02, 7)
    torch.manual_seed(2)
    again, other = detection_head(32, 0.02, 7), detection_head(32, 0.02, 8)
    assert torch.equal(first[0].weight, again[0].weight) and torch.equal(first[2].weight, again[2].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert first[0].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not first[0].bias.any() and not first[2].bias.any()
