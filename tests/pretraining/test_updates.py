"""An update of a pre-training, as a stage makes it: the passages it reads, and its gradient."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from simlm.data.tokens import build_token_store
from simlm.packed import layouts
from simlm.pretraining.dataset import PassageExamples
from simlm.pretraining.mlm import MaskedLM
from simlm.pretraining.objective import Example, Objective
from simlm.pretraining.packing import batches_of
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.training.batches import EpochBatches, MicroBatches, UpdateCollator, losses_of
from simlm.training.plan import Plan
from simlm.training.trainer import train
from tests.packed.toys import assert_near
from tests.pretraining.toys import ALL_PIECES, CONFIG, PIECES, TOKENIZER, bert, corpus, electra, example

CPU = torch.device("cpu")
UPDATE, MICRO_BATCH = 24, 8
LENGTHS = [6 + 11 * number % 35 for number in range(60)]


class Passages(Dataset[Example]):
    def __len__(self) -> int:
        return len(LENGTHS)

    def __getitem__(self, number: int) -> Example:
        return example(number, LENGTHS[number], titled=True)


def alone(objective: Objective, row: Example) -> Iterator[tuple[str, Tensor]]:
    """Each side's cross-entropies at the counted tokens of one passage, which nothing is padded to or batched with."""
    batch = objective.collator([row])
    inside = batch["attention_mask"].bool()
    ids, types = (batch[name][inside][None] for name in ("input_ids", "token_type_ids"))
    if isinstance(objective, MaskedLM):
        logits = objective.model(input_ids=ids, token_type_ids=types).logits
        yield "words", cross_entropy(logits[batch["masked"][inside][None]], batch["targets"], reduction="none")
        return
    assert isinstance(objective, ReplacedLM)
    model, counted = objective.model, batch["counted"][inside][None].bool()
    first, second = (
        objective.replacer(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            token_type_ids=batch["token_type_ids"],
            masked=batch[f"{side}_mask"],
            uniforms=batch[f"{side}_uniforms"],
        )[inside][None]
        for side in ("encoder", "decoder")
    )
    everywhere = torch.ones_like(ids)
    hidden = model.encode(first, everywhere, types)
    for side, states in (("encoder", hidden), ("decoder", model.decode(hidden[:, 0], second, everywhere))):
        yield side, cross_entropy(model.encoder.cls(states)[counted], ids[counted], reduction="none")


def released(objective: Objective, rows: list[Example]) -> dict[str, Tensor]:
    """The gradient as METHOD has it (pre-training, 7), passage by passage in float64.

    Each side's mean over the counted tokens of a micro-batch, then the plain mean over micro-batches.
    """
    objective.double().zero_grad()
    for start in range(0, len(rows), MICRO_BATCH):
        sums: dict[str, Any] = Counter()
        counts: dict[str, int] = Counter()
        for row in rows[start : start + MICRO_BATCH]:
            for side, losses in alone(objective, row):
                sums[side] += losses.sum()
                counts[side] += len(losses)
        (sum(sums[side] / counts[side] for side in sums) / (len(rows) / MICRO_BATCH)).backward()
    return {name: weight.grad.float() for name, weight in objective.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("kind", [MaskedLM, ReplacedLM])
def test_an_updates_gradient_is_that_of_the_released_order_of_computation(
    kind: type[MaskedLM | ReplacedLM], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "packs_pay", lambda device: packed)
    objective = kind.build(bert(), electra() if kind.needs_generator else None, PIECES, CONFIG)
    dataset = Passages()
    batches = EpochBatches(dataset, UPDATE, 3, MICRO_BATCH)
    rows = [dataset[number] for number in next(iter(batches))]
    update = UpdateCollator(batches_of(objective, max(LENGTHS), CPU), batches.split, batches.last)(rows)
    for part, weight in zip(update["parts"], update["weights"], strict=True):
        (losses_of(objective, part)["loss"] * weight).backward()
    found = {name: weight.grad for name, weight in objective.named_parameters() if weight.grad is not None}
    again = kind.build(bert(), electra() if kind.needs_generator else None, PIECES, CONFIG)
    assert_near(found, released(again, rows))


class Noted(nn.Module):
    """Learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, lengths: Tensor) -> dict[str, Tensor]:
        return {"loss": self.weight * lengths.sum()}


def test_an_update_is_a_random_draw_of_all_lengths(tmp_path: Path) -> None:
    """Batches of like length would have means as far apart as single passages, or a batch's lengths alike."""
    size, batch = 640, 16
    store = build_token_store(corpus(size), TOKENIZER, tmp_path / "store", has_titles=True)
    dataset = PassageExamples(store, np.arange(size), PIECES.specials, 40, ALL_PIECES)
    drawn: list[list[int]] = []

    def collate(rows: Sequence[Example]) -> dict[str, Tensor]:
        drawn.append([len(row.ids) for row in rows])
        return {"lengths": torch.tensor(drawn[-1])}

    plan = Plan(steps=size // batch, batch_size=batch, learning_rate=1e-3, warmup_steps=1, seed=5)
    train(Noted(), dataset, MicroBatches(collate), plan, tmp_path / "work", "toy")
    lengths = np.array(drawn[: size // batch])
    assert lengths.shape == (size // batch, batch)
    spread = lengths.mean(axis=1).var(ddof=1) / (lengths.var() / batch)
    assert 0.6 < spread < 1.6
    assert abs(np.corrcoef(lengths[:, :-1].ravel(), lengths[:, 1:].ravel())[0, 1]) < 0.15
