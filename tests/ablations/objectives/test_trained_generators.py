"""RTD and the joint generator, which train their generator: losses against loops, and where gradients go."""

import pytest
import torch

from ablations.objectives.joint_generator import JointReplacedLM
from ablations.objectives.rtd import ReplacedTokenDetection
from simlm.pretraining.replaced_lm import ReplacedLM
from tests.ablations.objectives.bottleneck import (
    always_first_word,
    assert_generator_learns_from_its_own_loss,
    detection_loop,
    exact_objective,
    generator_loop,
    special_batch,
    tokens_read,
)

KINDS = [(JointReplacedLM, 0.2), (ReplacedTokenDetection, 1.0)]
"""With the weight of the generator's loss in the sum."""


@pytest.mark.parametrize(("kind", "weight"), KINDS)
def test_the_generator_learns_from_its_own_loss_alone(kind: type, weight: float) -> None:
    assert_generator_learns_from_its_own_loss(exact_objective(kind), special_batch(), weight)


def test_the_joint_sum_is_simlms_and_a_fifth_of_the_generators() -> None:
    batch = special_batch()
    model, frozen = exact_objective(JointReplacedLM), exact_objective(ReplacedLM)(**batch)
    joint = model(**batch)
    assert joint["generator_loss"].item() == pytest.approx(generator_loop(model.replacer.generator, batch), rel=1e-6)
    for name in ("encoder_loss", "decoder_loss"):
        assert joint[name].item() == pytest.approx(frozen[name].item(), rel=1e-6), "the same samples as a frozen one's"
    assert joint["loss"].item() == pytest.approx(frozen["loss"].item() + 0.2 * joint["generator_loss"].item(), rel=1e-6)


def test_rtd_replaces_masked_tokens_only() -> None:
    batch = special_batch()
    (read,) = tokens_read(exact_objective(ReplacedTokenDetection), batch)
    original, masked = batch["input_ids"], batch["encoder_mask"]
    assert torch.equal(read[~masked], original[~masked]) and (read != original)[masked].any()


@pytest.mark.parametrize("as_original", [False, True])
def test_losses_of_rtd_and_their_sum_against_a_loop(as_original: bool) -> None:
    """Over all that is no padding, [CLS] and [SEP] too. A sample that equals the original counts as original."""
    model = exact_objective(ReplacedTokenDetection)
    batch = always_first_word(model) if as_original else special_batch()
    outputs, (read,) = model(**batch), tokens_read(model, batch)
    assert torch.equal(read[0], batch["input_ids"][0]) is as_original
    inputs = {name: batch[name] for name in ("attention_mask", "token_type_ids")}
    hidden = model.encoder.bert(input_ids=read, **inputs).last_hidden_state
    generator = generator_loop(model.replacer.generator, batch)
    detection = detection_loop(model, hidden, read, batch["input_ids"], batch["attention_mask"])
    assert outputs["generator_loss"].item() == pytest.approx(generator, rel=1e-6)  # a float32 sum over the vocabulary
    assert outputs["detection_loss"].item() == pytest.approx(detection, rel=1e-10)
    assert outputs["loss"].item() == pytest.approx(generator + 50 * detection, rel=1e-6)
