"""SimLM's objective: what each side reads, what is counted, and both losses against a loop in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simlm.errors import UserError
from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.pretraining.toys import (
    CLS,
    CONFIG,
    MASK,
    PAD,
    PIECES,
    SEP,
    UNK,
    VOCABULARY,
    bert,
    electra,
    exact,
    example,
    examples,
    log_softmax,
)

LENGTHS = [22, 17, 9, 30]


def objective(dropout: float = 0.0, setting: ObjectiveConfig = CONFIG) -> ReplacedLM:
    return ReplacedLM.build(bert(dropout=dropout), electra(), PIECES, setting)


def batch_of(setting: ObjectiveConfig = CONFIG, epoch: int = 0) -> dict[str, Tensor]:
    rows = examples(LENGTHS, epoch, titled=True)
    rows[0].ids[4] = UNK
    return NestedMaskCollator(PIECES, setting)(rows)


def replaced_inputs(model: ReplacedLM, batch: dict[str, Tensor]) -> list[Tensor]:
    """What the encoder and the decoder read in one forward pass."""
    read: list[Tensor] = []
    handle = model.replacer.register_forward_hook(lambda *arguments: read.append(arguments[-1]))
    model(**batch)
    handle.remove()
    assert len(read) == 2
    return read


def loop(model: ReplacedLM, hidden: Tensor, batch: dict[str, Tensor]) -> float:
    """Mean of -log softmax over the positions that are not special, one position after the other."""
    head = model.encoder.cls.predictions
    weight, bias = exact(head.decoder.weight), exact(head.decoder.bias)
    with torch.no_grad():
        states = exact(head.transform.double()(hidden.double()))
    model.float()
    losses = []
    for row, ids in enumerate(batch["input_ids"].tolist()):
        for position, token in enumerate(ids):
            if token not in (CLS, SEP, PAD, UNK, MASK):
                losses.append(-log_softmax(weight @ states[row, position] + bias)[token])
    return float(np.mean(losses))


def test_both_losses_against_a_loop() -> None:
    model, batch = objective().eval(), batch_of()
    encoder_ids, decoder_ids = replaced_inputs(model, batch)
    outputs = model(**batch)
    with torch.no_grad():
        hidden = model.model.encode(encoder_ids, batch["attention_mask"], batch["token_type_ids"])
        decoded = model.model.decode(hidden[:, 0], decoder_ids, batch["attention_mask"])
    assert outputs["encoder_loss"].item() == pytest.approx(loop(model, hidden, batch), rel=1e-5)
    assert outputs["decoder_loss"].item() == pytest.approx(loop(model, decoded, batch), rel=1e-5)
    assert outputs["loss"].item() == pytest.approx(
        outputs["encoder_loss"].item() + outputs["decoder_loss"].item(), rel=1e-6
    )
    assert outputs["loss"].requires_grad
    assert not outputs["encoder_loss"].requires_grad and not outputs["decoder_loss"].requires_grad


def test_counted_is_every_token_that_is_not_special() -> None:
    batch = batch_of()
    expected = [[token not in (CLS, SEP, PAD, UNK, MASK) for token in ids] for ids in batch["input_ids"].tolist()]
    assert batch["counted"].tolist() == expected
    assert not batch["counted"][0, 4]
    # Most counted tokens are neither masked for the encoder nor for the decoder.
    assert (batch["counted"] & ~batch["decoder_mask"]).any()


def test_each_side_reads_its_own_replacements() -> None:
    model, batch = objective(), batch_of()
    encoder_ids, decoder_ids = replaced_inputs(model, batch)
    original = batch["input_ids"]
    for ids, name in ((encoder_ids, "encoder_mask"), (decoder_ids, "decoder_mask")):
        assert torch.equal(ids[~batch[name]], original[~batch[name]])
        assert not torch.equal(ids[batch[name]], original[batch[name]])
    both = batch["encoder_mask"] & batch["decoder_mask"]
    assert torch.equal(both, batch["encoder_mask"])
    assert (encoder_ids[both] != decoder_ids[both]).any()


def test_the_two_samples_of_a_position_are_independent() -> None:
    setting = ObjectiveConfig(0.3, 0.3, False, 7)
    agreed, expected, count = 0, 0.0, 0
    model = objective(setting=setting).eval()
    with torch.no_grad():
        model.replacer.generator.generator_lm_head.weight.zero_()  # one distribution at every position
        probabilities = torch.softmax(model.replacer.generator.generator_lm_head.bias.normal_(0, 1.5), dim=0)
    for epoch in range(12):
        batch = NestedMaskCollator(PIECES, setting)(examples([60] * 16, epoch))
        with torch.no_grad():
            encoder_ids, decoder_ids = replaced_inputs(model, batch)
        masked = batch["encoder_mask"]
        agreed += int((encoder_ids == decoder_ids)[masked].sum())
        count += int(masked.sum())
        expected = float(probabilities.pow(2).sum())
    deviation = (count * expected * (1 - expected)) ** 0.5
    assert abs(agreed - count * expected) < 3 * deviation


def test_gradients_reach_the_model_and_not_the_generator() -> None:
    model = objective()
    model(**batch_of())["loss"].backward()
    assert all(weight.grad is None for weight in model.replacer.parameters())
    assert all(weight.grad is not None for weight in model.model.parameters())


def test_decoder_loss_depends_on_the_encoder_through_cls_alone() -> None:
    model, batch = objective().eval(), batch_of()
    before = model(**batch)

    def perturbing(start: int, stop: int | None) -> dict[str, Tensor]:
        def perturb(module: nn.Module, arguments: object, output: Tensor) -> Tensor:
            output = output.clone()
            output[:, start:stop] += 0.5
            return output

        handle = model.encoder.bert.encoder.layer[-1].output.register_forward_hook(perturb)
        outputs = model(**batch)
        handle.remove()
        return outputs

    others = perturbing(1, None)
    assert torch.equal(others["decoder_loss"], before["decoder_loss"])
    assert not torch.equal(others["encoder_loss"], before["encoder_loss"])
    cls = perturbing(0, 1)
    assert not torch.equal(cls["decoder_loss"], before["decoder_loss"])
    assert torch.equal(cls["encoder_loss"], before["encoder_loss"])


def test_values_do_not_depend_on_how_passages_are_batched() -> None:
    model = objective().eval()
    collator = NestedMaskCollator(PIECES, CONFIG)
    rows = examples(LENGTHS)
    together = model(**collator(rows))["loss"].item()
    counts, losses = [], []
    for row in rows:
        batch = collator([row])
        counts.append(int(batch["counted"].sum()))
        losses.append(model(**batch)["loss"].item())
    assert together == pytest.approx(float(np.average(losses, weights=counts)), rel=1e-5)


def test_masks_and_samples_are_keyed_by_seed_epoch_and_passage() -> None:
    collator = NestedMaskCollator(PIECES, CONFIG)
    first, again = (collator(examples(LENGTHS)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    alone = collator([example(2, LENGTHS[2])])
    assert torch.equal(alone["decoder_mask"][0, : LENGTHS[2]], first["decoder_mask"][2, : LENGTHS[2]])
    other_epoch = collator(examples(LENGTHS, epoch=1))
    other_seed = NestedMaskCollator(PIECES, ObjectiveConfig(0.3, 0.5, False, 8))(examples(LENGTHS))
    for other in (other_epoch, other_seed):
        assert not torch.equal(first["encoder_mask"], other["encoder_mask"])
        assert not torch.equal(first["decoder_mask"], other["decoder_mask"])
        assert torch.equal(first["input_ids"], other["input_ids"])


def test_a_passage_without_any_word_costs_nothing() -> None:
    rows = [example(0, 6), example(1, 3)]
    rows[0].ids[1:-1] = UNK
    rows[1].ids[1] = UNK
    model = objective()
    outputs = model(**NestedMaskCollator(PIECES, CONFIG)(rows))
    outputs["loss"].backward()
    assert outputs["loss"].item() == 0


def test_encoder_is_the_model_that_is_kept() -> None:
    encoder = bert()
    assert ReplacedLM.build(encoder, electra(), PIECES, CONFIG).encoder is encoder


def test_models_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=f"generator has {len(VOCABULARY) + 1} words, the encoder {len(VOCABULARY)}"):
        ReplacedLM.build(bert(), electra(vocabulary=len(VOCABULARY) + 1), PIECES, CONFIG)
    with pytest.raises(UserError, match="needs a BERT encoder and an ELECTRA generator"):
        ReplacedLM.build(bert(), None, PIECES, CONFIG)
    with pytest.raises(UserError, match="needs a BERT encoder"):
        ReplacedLM.build(electra(), electra(), PIECES, CONFIG)


def test_it_learns() -> None:
    model = objective()
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=5e-3)
    losses = []
    for step in range(30):
        rows = [example(number % 4, 20, 4 * step + number // 4) for number in range(16)]  # four passages, new masks
        outputs = model(**model.collator(rows))
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        losses.append((outputs["encoder_loss"].item(), outputs["decoder_loss"].item()))
    first, last = np.mean(losses[:3], axis=0), np.mean(losses[-3:], axis=0)
    assert (last < 0.7 * first).all()
