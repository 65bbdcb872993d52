"""The joint generator: its own loss against a loop, its share of the sum, and where gradients go."""

import copy

import numpy as np
import pytest
import torch

from ablations.objectives.joint_generator import JointReplacedLM
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.pretraining.toys import CONFIG, MASK, PIECES, bert, electra, exact, examples, log_softmax


def batch_of() -> dict[str, torch.Tensor]:
    return NestedMaskCollator(PIECES, CONFIG)(examples([22, 17, 9, 30], titled=True))


def objective() -> JointReplacedLM:
    return JointReplacedLM.build(bert(), electra(), PIECES, CONFIG).train()


def test_the_generators_loss_is_that_of_the_encoders_masked_tokens() -> None:
    model, batch = objective(), batch_of()
    generator = model.replacer.generator
    masked = batch["encoder_mask"]
    with torch.no_grad():
        logits = generator(
            input_ids=batch["input_ids"].masked_fill(masked, MASK),
            attention_mask=batch["attention_mask"],
            token_type_ids=batch["token_type_ids"],
        ).logits
    losses = [
        -log_softmax(exact(logits[row, place]))[batch["input_ids"][row, place]] for row, place in masked.nonzero()
    ]
    assert model(**batch)["generator_loss"].item() == pytest.approx(float(np.mean(losses)), rel=1e-5)


def test_the_sum_is_simlms_and_a_fifth_of_the_generators() -> None:
    batch = batch_of()
    joint, frozen = objective()(**batch), ReplacedLM.build(bert(), electra(), PIECES, CONFIG).train()(**batch)
    for name in ("encoder_loss", "decoder_loss"):
        assert joint[name].item() == pytest.approx(frozen[name].item(), rel=1e-6), "the same samples as a frozen one's"
    assert joint["loss"].item() == pytest.approx(frozen["loss"].item() + 0.2 * joint["generator_loss"].item(), rel=1e-6)


def test_the_generators_gradient_is_a_fifth_of_its_own_losss_alone() -> None:
    model, batch = objective(), batch_of()
    alone = copy.deepcopy(model.replacer.generator)
    model(**batch)["loss"].backward()
    masked = batch["encoder_mask"]
    states = alone(
        input_ids=batch["input_ids"].masked_fill(masked, MASK),
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
    ).logits[masked]
    (0.2 * torch.nn.functional.cross_entropy(states, batch["input_ids"][masked])).backward()
    for (name, ours), theirs in zip(model.replacer.generator.named_parameters(), alone.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.encoder.parameters())


def test_a_frozen_generator_stays_frozen() -> None:
    model = ReplacedLM.build(bert(), electra(), PIECES, CONFIG).train()
    model(**batch_of())["loss"].backward()
    assert all(weight.grad is None for weight in model.replacer.generator.parameters())
