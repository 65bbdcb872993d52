"""Tiny trainings that can be stopped anywhere."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simlm.data.tokens import build_token_store
from simlm.pretraining.dataset import PassageExamples
from simlm.pretraining.mlm import MaskedLM
from simlm.pretraining.objective import Example, Objective, ObjectiveConfig
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.training.batches import MicroBatches
from simlm.training.trainer import Outcome, Plan, train
from tests.pretraining.toys import ALL_PIECES, CONFIG, PIECES, TOKENIZER, bert, corpus, electra

PASSAGES, BATCH = 44, 8  # five batches an epoch
PLAN = Plan(steps=12, batch_size=BATCH, learning_rate=5e-3, warmup_steps=2, seed=11, save_every=3, log_every=2)


class Killed(Exception):
    """Stands for whatever ends a process."""


class Collator:
    """Makes a batch, remembers which passages went into it, and raises when its ``killed_at``-th batch is asked for."""

    def __init__(self, inner: Callable[[Sequence[Example]], dict[str, Tensor]], killed_at: int | None = None) -> None:
        self.inner = inner
        self.killed_at = killed_at
        self.seen: list[list[tuple[int, int]]] = []

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        self.seen.append([(example.epoch, example.passage) for example in examples])
        if len(self.seen) == self.killed_at:
            raise Killed
        return self.inner(examples)


def dataset_in(folder: Path, passages: int = PASSAGES) -> PassageExamples:
    """The toy corpus; two calls for one folder share a store."""
    rows = corpus(passages)
    store = build_token_store(rows, TOKENIZER, folder / f"store-{passages}", has_titles=True)
    return PassageExamples(store, np.arange(passages), PIECES.specials, 24, ALL_PIECES)


def replaced_lm(dropout: float = 0.2) -> ReplacedLM:
    """SimLM with dropout everywhere, the generator's included."""
    setting = ObjectiveConfig(0.3, 0.5, dropout > 0, 7)
    return ReplacedLM.build(bert(dropout=dropout), electra(dropout=dropout), PIECES, setting)


def masked_lm(dropout: float = 0.2) -> MaskedLM:
    """An ELECTRA generator's own training."""
    return MaskedLM.build(electra(dropout=dropout), None, PIECES, CONFIG)


def weights_of(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of everything in the state dictionary."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Bit by bit."""
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def assert_near(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Up to what another order of sums does to a few updates.

    Attention does not depend on the keys' biases: their gradients are rounding errors, which Adam makes large.
    """
    for name, weight in theirs.named_parameters():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(ours.get_parameter(name), weight, atol=1e-4, rtol=1e-3)


def run(
    objective: Objective,
    dataset: PassageExamples,
    folder: Path,
    plan: Plan = PLAN,
    collator: Collator | None = None,
    evaluation: Callable[[torch.nn.Module], dict[str, float]] | None = None,
    **changes: Any,
) -> Outcome:
    """Train from whatever the random state is, as a new process would."""
    return train(
        objective,
        dataset,
        MicroBatches(collator or objective.collator),
        replace(plan, **changes),
        folder / "work",
        "toy",
        evaluation,
    )
