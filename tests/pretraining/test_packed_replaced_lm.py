"""What SimLM's step does without padding beside its losses: the decoder's bridge, and the samples."""

import copy

import pytest
import torch

from simlm.packed.forwards import hidden_states, prepare
from simlm.pretraining.generator import sample_by_noise
from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.packed_batch import PackedBatch
from simlm.pretraining.packing import PackingCollator
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.packed.toys import assert_near, gradients
from tests.pretraining.packable import summed
from tests.pretraining.toys import CONFIG, PIECES, UNK, bert, electra, examples

LENGTHS = [22, 17, 9, 30, 5, 12, 40, 8]
MASKS = NestedMaskCollator(PIECES, CONFIG)
PLAIN, ROUND = PackingCollator(MASKS, 10_000), PackingCollator(MASKS, 10_000, round_to=64, max_length=48)


def models() -> tuple[ReplacedLM, ReplacedLM]:
    """One for padded batches, and its copy for packs."""
    objective = ReplacedLM.build(bert(), electra(), PIECES, CONFIG)
    packed = copy.deepcopy(objective)
    prepare(packed, compiled=False)
    return objective, packed


@pytest.mark.parametrize("collator", [PLAIN, ROUND], ids=["plain", "rounded"])
def test_the_decoder_with_its_bridge(collator: PackingCollator) -> None:
    padded, packed = models()
    rows = examples(LENGTHS, titled=True)
    batch, (part,) = MASKS(rows), collator(rows, 64)
    inputs = (batch["input_ids"], batch["attention_mask"])
    hidden = padded.model.encode(*inputs, batch["token_type_ids"])
    expected = padded.model.decode(hidden[:, 0], *inputs)[batch["attention_mask"].bool()]
    model = packed.model
    states = hidden_states(model.encoder.bert, part.pack)
    decoded = PackedBatch(part).decode(model, states, part.pack.input_ids)[0, : part.pack.tokens]
    assert_near({"states": decoded}, {"states": expected})
    weights = torch.randn(decoded.shape)
    assert_near(gradients(model, (decoded * weights).sum()), gradients(padded.model, (expected * weights).sum()))


@pytest.mark.parametrize("collator", [PLAIN, ROUND], ids=["plain", "rounded"])
def test_samples_are_the_padded_ones(collator: PackingCollator) -> None:
    padded, packed = models()
    rows = examples(LENGTHS)
    batch, (part,) = MASKS(rows), collator(rows, 64)
    inputs = [batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")]
    for side in ("encoder", "decoder"):
        expected = padded.replacer(*inputs, batch[f"{side}_mask"], batch[f"{side}_uniforms"])
        replaced = PackedBatch(part).replaced(packed.replacer, side)[0, : part.pack.tokens]
        assert torch.equal(replaced, expected[batch["attention_mask"].bool()])


def test_the_generator_gets_no_gradient() -> None:
    _, packed = models()
    (part,) = PLAIN(examples(LENGTHS), 64)
    packed(part)["loss"].backward()
    assert all(weight.grad is None for weight in packed.replacer.parameters())


@pytest.mark.parametrize("max_tokens", [100, 500])
def test_the_loss_does_not_depend_on_how_passages_are_packed(max_tokens: int) -> None:
    """150 passages are two whole groups of 64 and one of 22: the mean of the padded means, by the groups' passages."""
    padded, packed = models()
    rows = examples([3 + 7 * number % 23 for number in range(150)])
    groups = [padded(**MASKS(rows[start : start + 64])) for start in range(0, 150, 64)]
    losses = torch.stack([group["loss"] for group in groups])
    expected = (losses * torch.tensor([64, 64, 22]) / 150).sum()
    parts = PackingCollator(MASKS, max_tokens)(rows, 64)
    assert len(parts) > 3
    loss = summed(packed, parts)["loss"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_near(gradients(packed.model, loss), gradients(padded.model, expected))


def test_gumbel_samples_do_not_depend_on_how_passages_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PackedBatch, "drawn", lambda batch, *given: sample_by_noise(*given))  # as on a GPU
    objective = models()[1].eval()
    rows = examples([20] * 30)

    def replaced(collator: PackingCollator) -> torch.Tensor:
        parts = collator(rows, 64)
        read = [PackedBatch(part).replaced(objective.replacer, "decoder") for part in parts]
        return torch.cat([ids[0, : part.pack.tokens] for ids, part in zip(read, parts, strict=True)])

    whole, small = replaced(PLAIN), PackingCollator(MASKS, 64)
    assert len(small(rows, 64)) > 1
    assert torch.equal(replaced(small), whole) and torch.equal(replaced(ROUND), whole)
    other = NestedMaskCollator(PIECES, ObjectiveConfig(0.3, 0.5, False, 8))
    assert not torch.equal(replaced(PackingCollator(other, 10_000)), whole)


def test_a_batch_without_any_word_costs_nothing() -> None:
    rows = examples([6, 5])
    for row in rows:
        row.ids[1:-1] = UNK
    _, packed = models()
    for collator in (PLAIN, ROUND):
        loss = summed(packed, collator(rows, 64))["loss"]
        loss.backward()
        assert loss.item() == 0
