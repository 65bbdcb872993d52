"""RTD: what the discriminator reads and tells, both losses against a loop in float64, and where gradients go."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.objectives.rtd import ReplacedTokenDetection
from tests.ablations.objectives.bottleneck import special_batch
from tests.pretraining.toys import CONFIG, FIRST_WORD, MASK, PIECES, bert, electra, exact, examples, log_softmax


def objective() -> ReplacedTokenDetection:
    """In float64; the toys have no dropout."""
    return ReplacedTokenDetection.build(bert(), electra(), PIECES, CONFIG).double()


def read_by(model: ReplacedTokenDetection, batch: dict[str, Tensor]) -> Tensor:
    """The tokens (B, L) that the discriminator embeds."""
    read: list[Tensor] = []
    handle = model.encoder.bert.embeddings.register_forward_pre_hook(
        lambda _, positional, named: read.append(named["input_ids"].clone()), with_kwargs=True
    )
    model(**batch)
    handle.remove()
    (ids,) = read
    return ids


def generator_loop(model: ReplacedTokenDetection, batch: dict[str, Tensor]) -> float:
    """Mean of -log p(original) over the masked tokens, one after the other."""
    masked = batch["encoder_mask"]
    logits = model.replacer.generator(
        input_ids=batch["input_ids"].masked_fill(masked, MASK),
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
    ).logits
    return float(
        np.mean(
            [-log_softmax(exact(logits[row, place]))[batch["input_ids"][row, place]] for row, place in masked.nonzero()]
        )
    )


def detection_loop(model: ReplacedTokenDetection, read: Tensor, batch: dict[str, Tensor]) -> float:
    """Mean of -log p(label) over all that is no padding, [CLS] and [SEP] too, one position after the other."""
    hidden = model.encoder.bert(
        input_ids=read, attention_mask=batch["attention_mask"], token_type_ids=batch["token_type_ids"]
    ).last_hidden_state
    dense, _, linear = model.head
    first, offset, second, last = (exact(weight) for layer in (dense, linear) for weight in layer.parameters())
    losses = []
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        for place in range(length):
            inner = first @ exact(hidden[row, place]) + offset
            logit = float(second[0] @ np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in inner]) + last[0])
            replaced = 1 / (1 + math.exp(-logit))
            losses.append(-math.log(replaced if read[row, place] != batch["input_ids"][row, place] else 1 - replaced))
    return float(np.mean(losses))


def test_only_masked_tokens_are_replaced() -> None:
    batch = special_batch()
    read, original, masked = read_by(objective(), batch), batch["input_ids"], batch["encoder_mask"]
    assert torch.equal(read[~masked], original[~masked]) and (read != original)[masked].any()


def test_both_losses_and_their_sum_against_a_loop() -> None:
    model, batch = objective(), special_batch()
    outputs, read = model(**batch), read_by(model, batch)
    generator, detection = generator_loop(model, batch), detection_loop(model, read, batch)
    assert outputs["generator_loss"].item() == pytest.approx(generator, rel=1e-6)  # a float32 sum over the vocabulary
    assert outputs["detection_loss"].item() == pytest.approx(detection, rel=1e-10)
    assert outputs["loss"].item() == pytest.approx(generator + 50 * detection, rel=1e-6)
    assert outputs["loss"].requires_grad
    assert not outputs["generator_loss"].requires_grad and not outputs["detection_loss"].requires_grad


def test_a_sample_equal_to_the_original_counts_as_original() -> None:
    model = objective()
    with torch.no_grad():
        model.replacer.generator.generator_lm_head.weight.zero_()
        model.replacer.generator.generator_lm_head.bias.fill_(-1000)[FIRST_WORD] = 0
    rows = examples([22, 17])
    rows[0].ids[1:-1] = FIRST_WORD
    batch = model.collator(rows)
    read = read_by(model, batch)
    assert batch["encoder_mask"][0].any() and torch.equal(read[0], batch["input_ids"][0])
    assert not torch.equal(read[1], batch["input_ids"][1])
    assert model(**batch)["detection_loss"].item() == pytest.approx(detection_loop(model, read, batch), rel=1e-10)


def test_the_generator_learns_from_its_own_loss_alone() -> None:
    model, batch = objective(), special_batch()
    alone = copy.deepcopy(model.replacer.generator)
    model(**batch)["loss"].backward()
    masked = batch["encoder_mask"]
    logits = alone(
        input_ids=batch["input_ids"].masked_fill(masked, MASK),
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
    ).logits[masked]
    torch.nn.functional.cross_entropy(logits, batch["input_ids"][masked]).backward()
    for (name, ours), theirs in zip(model.replacer.generator.named_parameters(), alone.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
