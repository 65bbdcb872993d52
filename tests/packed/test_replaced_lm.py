"""SimLM's whole step: packed equals padded, however a batch is cut into packs."""

import copy

import pytest
import torch
from torch import Tensor

from simlm.packed.forwards import hidden_states
from simlm.packed.replaced_lm import PackedReplacedLM, PackingCollator
from simlm.pretraining.objective import Setting
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.packed.toys import assert_near, gradients
from tests.pretraining.toys import PIECES, SETTING, UNK, bert, electra, examples

LENGTHS = [22, 17, 9, 30, 5, 12, 40, 8]
MASKS = NestedMaskCollator(PIECES, SETTING)
PLAIN, ROUND = PackingCollator(MASKS, 10_000), PackingCollator(MASKS, 10_000, round_to=64, max_length=48)


def models(dropout: float = 0.0) -> tuple[ReplacedLM, PackedReplacedLM]:
    objective = ReplacedLM.build(bert(dropout=dropout), electra(), PIECES, SETTING)
    return objective, PackedReplacedLM(copy.deepcopy(objective))


def step(model: PackedReplacedLM, parts) -> dict[str, Tensor]:
    """The losses of all parts, summed."""
    outputs = [model(part) for part in parts]
    return {name: torch.stack([output[name] for output in outputs]).sum() for name in outputs[0]}


@pytest.mark.parametrize("collator", [PLAIN, ROUND], ids=["plain", "rounded"])
def test_losses_gradients_and_samples_are_those_of_the_padded_step(collator: PackingCollator) -> None:
    padded, packed = models()
    rows = examples(LENGTHS, titled=True)
    rows[0].ids[4] = UNK
    expected = padded(**MASKS(rows))
    (part,) = collator(rows)
    outputs = packed(part)
    for name in ("loss", "encoder_loss", "decoder_loss"):
        assert outputs[name].item() == pytest.approx(expected[name].item(), rel=1e-5)
    mine = gradients(packed.objective.model, outputs["loss"])
    assert_near(mine, gradients(padded.model, expected["loss"]))
    assert all(weight.grad is None for weight in packed.objective.replacer.parameters())


@pytest.mark.parametrize("collator", [PLAIN, ROUND], ids=["plain", "rounded"])
def test_the_decoder_with_its_bridge(collator: PackingCollator) -> None:
    padded, packed = models()
    rows = examples(LENGTHS, titled=True)
    batch, (part,) = MASKS(rows), collator(rows)
    inputs = (batch["input_ids"], batch["attention_mask"])
    hidden = padded.model.encode(*inputs, batch["token_type_ids"])
    expected = padded.model.decode(hidden[:, 0], *inputs)[batch["attention_mask"].bool()]
    states = hidden_states(packed.objective.encoder.bert, part.pack)
    decoded = packed.decoded(states, part.pack, part.pack.input_ids)[0, : part.pack.tokens]
    assert_near({"states": decoded}, {"states": expected})
    weights = torch.randn(decoded.shape)
    assert_near(
        gradients(packed.objective.model, (decoded * weights).sum()),
        gradients(padded.model, (expected * weights).sum()),
    )


def test_samples_are_the_padded_ones() -> None:
    padded, packed = models()
    rows = examples(LENGTHS)
    batch, (part,) = MASKS(rows), PLAIN(rows)
    inputs = [batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")]
    for side, masked in (("encoder", part.encoder), ("decoder", part.decoder)):
        expected = padded.replacer(*inputs, batch[f"{side}_mask"], batch[f"{side}_uniforms"])
        assert torch.equal(packed.replaced(part.pack, masked)[0], expected[batch["attention_mask"].bool()])


@pytest.mark.parametrize("max_tokens", [40, 200, 500])
def test_the_loss_does_not_depend_on_how_passages_are_packed(max_tokens: int) -> None:
    """150 passages are two whole groups of 64 and one of 22: the mean of the padded means, by the groups' passages."""
    padded, packed = models()
    rows = examples([3 + 7 * number % 23 for number in range(150)])
    groups = [padded(**MASKS(rows[start : start + 64])) for start in range(0, 150, 64)]
    losses = torch.stack([group["loss"] for group in groups])
    expected = (losses * torch.tensor([64, 64, 22]) / 150).sum()
    parts = PackingCollator(MASKS, max_tokens)(rows)
    assert len(parts) > 3
    loss = step(packed, parts)["loss"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_near(gradients(packed.objective.model, loss), gradients(padded.model, expected))


def test_gumbel_samples_do_not_depend_on_how_passages_are_packed() -> None:
    objective, _ = models()
    packed = PackedReplacedLM(objective, gumbel=True).eval()
    rows = examples([20] * 30)
    whole = torch.cat([packed.replaced(part.pack, part.decoder)[0] for part in PLAIN(rows)])
    parts = PackingCollator(MASKS, 64)(rows)
    assert len(parts) > 1
    assert torch.equal(torch.cat([packed.replaced(part.pack, part.decoder)[0] for part in parts]), whole)
    other = PackingCollator(NestedMaskCollator(PIECES, Setting(0.3, 0.5, False, 8)), 10_000)(rows)
    assert not torch.equal(packed.replaced(other[0].pack, other[0].decoder)[0], whole)


def test_a_batch_without_any_word_costs_nothing() -> None:
    rows = examples([6, 5])
    for row in rows:
        row.ids[1:-1] = UNK
    _, packed = models()
    for collator in (PLAIN, ROUND):
        loss = step(packed, collator(rows))["loss"]
        loss.backward()
        assert loss.item() == 0


def test_bfloat16_is_near_float32() -> None:
    """The loss within 0.5 %, the whole gradient within 5 % of its norm: 8 bits of mantissa through two small models."""
    _, packed = models()
    (part,) = PLAIN(examples(LENGTHS))
    packed.replaced = lambda pack, masked: pack.input_ids  # type: ignore[method-assign]  # samples would differ
    exact = packed(part)["loss"]
    wanted = torch.cat([gradient.flatten() for gradient in gradients(packed, exact).values()])
    with torch.autocast("cpu", torch.bfloat16):
        loss = packed(part)["loss"]
    got = torch.cat([gradient.flatten() for gradient in gradients(packed, loss).values()])
    assert loss.item() == pytest.approx(exact.item(), rel=5e-3)
    assert float((got - wanted).norm() / wanted.norm()) < 5e-2
