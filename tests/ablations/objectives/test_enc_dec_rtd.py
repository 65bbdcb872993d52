"""Enc-Dec RTD: inputs, labels and counted tokens, and both losses against a loop in float64."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.objectives.detection import detection_head
from ablations.objectives.enc_dec_rtd import EncDecRTD
from tests.ablations.objectives.bottleneck import (
    assert_decoder_sees_cls_alone,
    gradient_places,
    ordinary,
    special_batch,
    tokens_read,
)
from tests.pretraining.toys import CONFIG, FIRST_WORD, PIECES, bert, electra, exact, examples


def exact_objective() -> EncDecRTD:
    """In float64, without dropout."""
    objective = EncDecRTD.build(bert(), electra(), PIECES, CONFIG)
    return objective.double().eval()


def always(objective: EncDecRTD, token: int) -> EncDecRTD:
    """The generator replaces every masked token by this one."""
    with torch.no_grad():
        objective.replacer.generator.generator_lm_head.weight.zero_()
        objective.replacer.generator.generator_lm_head.bias.fill_(-1000)[token] = 0
    return objective


def loop(objective: EncDecRTD, hidden: Tensor, read: Tensor, batch: dict[str, Tensor]) -> float:
    """Mean of -log p(label) over the tokens that are not special, one position after the other, in float64."""
    dense, _, linear = objective.head
    first, offset, second, last = (exact(weight) for layer in (dense, linear) for weight in layer.parameters())
    states, losses = exact(hidden), []
    for row, position in ordinary(batch).nonzero().tolist():
        inner = first @ states[row, position] + offset
        logit = float(second[0] @ np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in inner]) + last[0])
        replaced = 1 / (1 + math.exp(-logit))
        was_replaced = read[row, position] != batch["input_ids"][row, position]
        losses.append(-math.log(replaced if was_replaced else 1 - replaced))
    return float(np.mean(losses))


def assert_losses_are_the_loop_s(objective: EncDecRTD, batch: dict[str, Tensor]) -> None:
    encoder_ids, decoder_ids = tokens_read(objective, batch)
    outputs = objective(**batch)
    hidden = objective.encoder.bert(
        input_ids=encoder_ids, attention_mask=batch["attention_mask"], token_type_ids=batch["token_type_ids"]
    ).last_hidden_state
    decoded = objective.model.decode(hidden[:, 0], decoder_ids, batch["attention_mask"])
    encoder_loss = loop(objective, hidden, encoder_ids, batch)
    decoder_loss = loop(objective, decoded, decoder_ids, batch)
    assert outputs["encoder_loss"].item() == pytest.approx(encoder_loss, rel=1e-10)
    assert outputs["decoder_loss"].item() == pytest.approx(decoder_loss, rel=1e-10)
    assert outputs["loss"].item() == pytest.approx(encoder_loss + decoder_loss, rel=1e-10)
    assert outputs["loss"].requires_grad
    assert not outputs["encoder_loss"].requires_grad and not outputs["decoder_loss"].requires_grad


def test_each_side_reads_its_own_replacements() -> None:
    batch = special_batch()
    original = batch["input_ids"]
    encoder_ids, decoder_ids = tokens_read(exact_objective(), batch)
    for ids, name in ((encoder_ids, "encoder_mask"), (decoder_ids, "decoder_mask")):
        assert torch.equal(ids[~batch[name]], original[~batch[name]])
        assert (ids != original)[batch[name]].any()
    assert (batch["decoder_mask"] | ~batch["encoder_mask"]).all()
    assert (encoder_ids != decoder_ids)[batch["encoder_mask"]].any()


def test_both_losses_against_a_loop() -> None:
    assert_losses_are_the_loop_s(exact_objective(), special_batch())


def test_a_sample_equal_to_the_original_counts_as_original() -> None:
    objective = always(exact_objective(), FIRST_WORD)
    rows = examples([22, 17])
    rows[0].ids[1:-1] = FIRST_WORD
    batch = objective.collator(rows)
    assert batch["encoder_mask"][0].any()
    encoder_ids, _ = tokens_read(objective, batch)
    assert torch.equal(encoder_ids[0], batch["input_ids"][0])
    assert not torch.equal(encoder_ids[1], batch["input_ids"][1])
    assert_losses_are_the_loop_s(objective, batch)


def test_every_word_counts_masked_or_not_and_no_special_token() -> None:
    batch = special_batch()
    encoder, decoder = gradient_places(exact_objective(), batch)
    assert encoder[:, 0].all()  # through the decoder
    assert torch.equal(encoder[:, 1:], ordinary(batch)[:, 1:])
    assert torch.equal(decoder, ordinary(batch))
    assert (ordinary(batch) & ~batch["decoder_mask"]).any()


def test_decoder_sees_cls_and_nothing_else_of_the_encoder() -> None:
    assert_decoder_sees_cls_alone(exact_objective(), special_batch())


def test_both_sides_share_the_head() -> None:
    objective, batch = exact_objective(), special_batch()
    with torch.no_grad():
        objective.head[-1].weight.zero_()
        objective.head[-1].bias.zero_()
    outputs = objective(**batch)
    assert outputs["encoder_loss"].item() == pytest.approx(math.log(2), rel=1e-12)
    assert outputs["decoder_loss"].item() == pytest.approx(math.log(2), rel=1e-12)


def test_the_head_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = detection_head(32, 0.02, 7)
    torch.manual_seed(2)
    again, other = detection_head(32, 0.02, 7), detection_head(32, 0.02, 8)
    assert torch.equal(first[0].weight, again[0].weight) and torch.equal(first[2].weight, again[2].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert first[0].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not first[0].bias.any() and not first[2].bias.any()
