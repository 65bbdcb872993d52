"""Checks that several objectives are put through alike: training, half precision, and what is refused or left out."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import ElectraForMaskedLM

from simlm.errors import UserError
from simlm.pretraining.objective import Objective
from tests.pretraining.toys import CONFIG, PIECES, UNK, electra, example, examples


def assert_it_learns(objective: Objective, shares: dict[str, float], length: int = 20, steps: int = 60) -> None:
    """Each loss named in ``shares`` falls below that share of its start, on four passages with new masks every step."""
    optimizer = torch.optim.AdamW([weight for weight in objective.parameters() if weight.requires_grad], lr=5e-3)
    losses = []
    for step in range(steps):
        outputs = objective(**objective.collator(examples([length] * 4, epoch=step)))
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        losses.append([outputs[name].item() for name in shares])
    first, last = np.mean(losses[:5], axis=0), np.mean(losses[-5:], axis=0)
    assert (last < np.array(list(shares.values())) * first).all(), (first, last)


def assert_it_runs_under_autocast(objective: Objective, batch: dict[str, Tensor]) -> None:
    """In bfloat16 the loss stays in single precision and near, and whatever is trained has a finite gradient."""
    expected = objective(**batch)["loss"].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(**batch)["loss"]
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=0.05)
    trained = [weight for weight in objective.parameters() if weight.requires_grad]
    assert trained and all(weight.grad is not None and weight.grad.isfinite().all() for weight in trained)


def assert_no_word_costs_nothing(objective: Objective) -> None:
    """A passage of unknown words alone has a loss of 0, which can be trained on."""
    row = example(0, 6)
    row.ids[1:-1] = UNK
    loss = objective(**objective.collator([row]))["loss"]
    loss.backward()
    assert loss.item() == 0


def assert_another_model_is_refused(
    objective: type[Objective], message: str, generator: ElectraForMaskedLM | None = None
) -> None:
    """An encoder that is no BERT raises a UserError that says ``message``."""
    with pytest.raises(UserError, match=message):
        objective.build(electra(), generator, PIECES, CONFIG)
