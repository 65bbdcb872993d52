"""Every objective's step without padding is its step with it, however a batch is cut into packs."""

import copy
from collections.abc import Sequence

import pytest
import torch

from simlm.packed.forwards import prepare
from simlm.pretraining.objective import Example, PackableObjective
from simlm.pretraining.packed_batch import PackedBatch
from simlm.pretraining.packing import PackingCollator
from tests.packed.toys import assert_near, gradients
from tests.pretraining.packable import PACKABLE, summed
from tests.pretraining.toys import UNK, examples

LENGTHS = [22, 17, 9, 30, 5, 12, 40, 8]
GROUPED = [4 + 7 * number % 23 for number in range(22)]
"""Three groups of 8, 8 and 6."""
pytestmark = pytest.mark.parametrize("name", PACKABLE)


def packs(objective: PackableObjective, max_tokens: int, rounded: bool) -> PackingCollator:
    return PackingCollator(
        objective.collator,
        max_tokens,
        round_to=64 if rounded else 0,
        max_length=48 if rounded else None,
        whole_groups=objective.whole_groups,
    )


def for_packs(objective: PackableObjective) -> PackableObjective:
    prepare(objective, compiled=False)
    return objective


def assert_same(name: str, rows: Sequence[Example], max_tokens: int, rounded: bool, group: int) -> int:
    """Losses and gradients, of the mean over padded groups by their passages; how many parts there were."""
    padded = PACKABLE[name]()
    packed = for_packs(copy.deepcopy(padded))
    groups = [rows[start : start + group] for start in range(0, len(rows), group)]
    outputs = [padded(**padded.collator(one)) for one in groups]
    weights = torch.tensor([len(one) / len(rows) for one in groups])
    expected = {key: (torch.stack([output[key] for output in outputs]) * weights).sum() for key in outputs[0]}
    parts = packs(padded, max_tokens, rounded)(rows, group)
    found = summed(packed, parts)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].item() == pytest.approx(value.item(), rel=1e-5), key
    assert_near(gradients(packed, found["loss"]), gradients(padded, expected["loss"]))
    return len(parts)


@pytest.mark.parametrize("rounded", [False, True])
def test_one_pack_is_the_padded_batch(name: str, rounded: bool) -> None:
    rows = examples(LENGTHS, titled=rounded)
    rows[0].ids[4] = UNK
    assert assert_same(name, rows, 10_000, rounded, 64) == 1


@pytest.mark.parametrize("max_tokens", [80, 230])
def test_several_packs_are_the_padded_micro_batches(name: str, max_tokens: int) -> None:
    assert assert_same(name, examples(GROUPED, titled=True), max_tokens, True, 8) > 1


@torch.no_grad()
def test_what_a_passage_costs_does_not_depend_on_its_neighbours(name: str) -> None:
    """Groups of one: the batch's loss is the mean of its passages', each alone in a pack."""
    objective = PACKABLE[name]().eval()
    packed = for_packs(objective)
    collate = packs(objective, 10_000, rounded=False)
    rows = examples(LENGTHS, titled=True)
    together, alone = summed(packed, collate(rows, 1)), [summed(packed, collate([row], 1)) for row in rows]
    for key, value in together.items():
        assert value.item() == pytest.approx(sum(one[key].item() for one in alone) / len(rows), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("rounded", [False, True])
def test_a_batch_without_any_word(name: str, rounded: bool) -> None:
    rows = examples([6, 5])
    for row in rows:
        row.ids[1:-1] = UNK
    objective = PACKABLE[name]()
    expected = objective(**objective.collator(rows))
    found = summed(for_packs(objective), packs(objective, 10_000, rounded)(rows, 64))
    for key, value in expected.items():
        assert found[key].item() == pytest.approx(value.item(), rel=1e-5), key
    found["loss"].backward()
    assert all(torch.isfinite(weight.grad).all() for weight in objective.parameters() if weight.grad is not None)


def test_bfloat16_is_near_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss within 0.5 %, the whole gradient within 5 % of its norm: 8 bits of mantissa through two small models."""
    objective = PACKABLE[name]()
    packed = for_packs(objective)
    parts = packs(objective, 10_000, rounded=True)(examples(LENGTHS, titled=True), 3)
    # Samples would differ.
    monkeypatch.setattr(PackedBatch, "sampled", lambda batch, rows, output, side: batch["input_ids"])
    exact = summed(packed, parts)["loss"]
    wanted = torch.cat([gradient.flatten() for gradient in gradients(objective, exact).values()])
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed(packed, parts)["loss"]
    got = torch.cat([gradient.flatten() for gradient in gradients(objective, loss).values()])
    assert loss.item() == pytest.approx(exact.item(), rel=5e-3)
    assert float((got - wanted).norm() / wanted.norm()) < 5e-2
