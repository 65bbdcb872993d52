"""What the trainer does to a module, against a plain loop; what stops it; which checkpoint it ends with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from simlm.errors import UserError
from simlm.pretraining.mlm import MaskedLM
from simlm.training.batches import MicroBatches
from simlm.training.plan import schedule
from simlm.training.trainer import EpochBatches, Plan, train
from tests.training.toys import (
    BATCH,
    PASSAGES,
    PLAN,
    Collator,
    Killed,
    assert_equal,
    assert_near,
    dataset_in,
    masked_lm,
    replaced_lm,
    run,
    weights_of,
)


def plain_loop(objective: MaskedLM, dataset: Any, plan: Plan) -> tuple[list[float], list[float], int]:
    """AdamW with everything written out; the losses and norms of the updates, and the tokens read."""
    optimizer = torch.optim.AdamW(objective.parameters(), lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    shape = schedule(plan.schedule, plan.warmup_steps, plan.steps)
    batches = EpochBatches(dataset, dataset.lengths, plan.batch_size, plan.seed)
    losses, norms, tokens, epoch = [], [], 0, 0
    objective.train()
    while len(losses) < plan.steps:
        batches.set_epoch(epoch)
        made = list(batches)
        for whole in made:
            size = plan.micro_batch or len(whole)
            cuts = [whole[start : start + size] for start in range(0, len(whole), size)]
            group = [objective.collator([dataset[number] for number in batch]) for batch in cuts]
            optimizer.zero_grad()
            mean = torch.stack([objective(**batch)["loss"] for batch in group]).mean()
            mean.backward()
            norms.append(float(nn.utils.clip_grad_norm_(objective.parameters(), 1.0)))
            for parameters in optimizer.param_groups:
                parameters["lr"] = plan.learning_rate * shape(len(losses))
            optimizer.step()
            losses.append(mean.item())
            tokens += sum(int(batch["attention_mask"].sum()) for batch in group)
            if len(losses) == plan.steps:
                break
        epoch += 1
    return losses, norms, tokens


@pytest.mark.parametrize("micro_batch", [0, 4])
@pytest.mark.parametrize("kind", ["linear", "log"])
def test_training_is_the_plain_loop(tmp_path: Path, micro_batch: int, kind: str) -> None:
    plan = Plan(7, BATCH, 5e-3, 2, 11, schedule=kind, micro_batch=micro_batch, log_every=1)
    dataset = dataset_in(tmp_path)
    ours, theirs = masked_lm(dropout=0), masked_lm(dropout=0)
    outcome = run(ours, dataset, tmp_path, plan)
    losses, norms, tokens = plain_loop(theirs, dataset, plan)
    log = [entry for entry in outcome.log if "loss" in entry]
    assert [entry["loss"] for entry in log] == pytest.approx(losses, rel=1e-4)
    assert [entry["grad_norm"] for entry in log] == pytest.approx(norms, rel=1e-3)
    assert max(norms) > 1  # clipping was put to the test
    shape = schedule(kind, 2, 7)
    assert [entry["learning_rate"] for entry in log] == pytest.approx([5e-3 * shape(done) for done in range(7)])
    assert outcome.tokens == tokens
    assert_near(ours, theirs)


def test_each_epoch_has_every_passage_once_and_its_own_masks(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    objective = masked_lm()
    collator = Collator(objective.collator)
    run(objective, dataset, tmp_path, collator=collator, save_every=0)
    for epoch, start in ((0, 0), (1, 5)):
        rows = [row for batch in collator.seen[start : start + 5] for row in batch]
        assert {number for number, _ in rows} == {epoch}
        assert len({passage for _, passage in rows}) == len(rows) == 5 * BATCH < PASSAGES
    assert [row[1] for row in collator.seen[0]] != [row[1] for row in collator.seen[5]]


def test_the_parts_of_a_loss_are_logged(tmp_path: Path) -> None:
    outcome = run(replaced_lm(), dataset_in(tmp_path), tmp_path, save_every=0, steps=6)
    entries = [entry for entry in outcome.log if "loss" in entry]
    assert [entry["step"] for entry in entries] == [2, 4, 6]
    for entry in entries:
        assert entry["loss"] == pytest.approx(entry["encoder_loss"] + entry["decoder_loss"], rel=1e-4)


@pytest.mark.parametrize(("save_every", "kept"), [(0, []), (2, ["checkpoint-6", "checkpoint-7"])])
def test_the_two_newest_checkpoints_stay(tmp_path: Path, save_every: int, kept: list[str]) -> None:
    run(masked_lm(), dataset_in(tmp_path), tmp_path, save_every=save_every, steps=7)
    assert sorted(path.name for path in (tmp_path / "work").glob("checkpoint-*")) == kept


Spoil = Callable[[Tensor, Tensor], Tensor]


class Spoiled(nn.Module):
    """An objective whose loss or gradient is spoiled at one of its calls."""

    def __init__(self, at: int, spoil: Spoil) -> None:
        super().__init__()
        self.inner = masked_lm(dropout=0)
        self.at = at
        self.spoil = spoil
        self.calls = 0

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        loss = self.inner(**batch)["loss"]
        return {"loss": self.spoil(loss, next(self.parameters())) if self.calls == self.at else loss}


def train_spoiled(folder: Path, at: int, spoil: Spoil, plan: Plan) -> str:
    dataset, module = dataset_in(folder), Spoiled(at, spoil)
    with pytest.raises(UserError) as caught:
        train(module, dataset, dataset.lengths, MicroBatches(module.inner.collator), plan, folder / "work", "toy")
    message = str(caught.value)
    ending = f"; lower its learning rate, {plan.learning_rate:g}, in simlm/scales and run again"
    assert "\n" not in message and message.endswith(ending)
    return message.removesuffix(ending)


def infinite_gradient(loss: Tensor, weight: Tensor) -> Tensor:
    """Leave the loss as it is: the square root's gradient at 0 is infinite."""
    return loss + (weight * 0).sum().sqrt()


@pytest.mark.parametrize(
    ("spoil", "at", "good"),
    [
        (lambda loss, _: loss * torch.nan, 1, "none"),
        (lambda loss, _: loss * torch.inf, 3, "none"),
        (lambda loss, _: loss * -torch.inf, 4, "checkpoint-3"),
        (lambda loss, _: loss * torch.nan, 8, "checkpoint-6"),
        (infinite_gradient, 3, "none"),
        (infinite_gradient, 6, "checkpoint-3"),
        (infinite_gradient, 12, "checkpoint-9"),  # the last update is checked too
    ],
)
def test_a_loss_or_weights_that_are_not_finite(tmp_path: Path, spoil: Spoil, at: int, good: str) -> None:
    message = train_spoiled(tmp_path, at, spoil, PLAN)
    what = "weights" if spoil is infinite_gradient else "the loss"
    assert message.startswith(f"toy: {what} became infinite or not a number at step {at} of 12")
    assert message.endswith(f"last good checkpoint: {good if good == 'none' else tmp_path / 'work' / good}")
    assert not (tmp_path / "work" / f"checkpoint-{at}").exists()


def test_it_can_go_on_from_the_last_good_checkpoint(tmp_path: Path) -> None:
    train_spoiled(tmp_path, 8, lambda loss, _: loss * torch.nan, PLAN)
    dataset, module = dataset_in(tmp_path), Spoiled(0, infinite_gradient)
    made = MicroBatches(module.inner.collator)
    assert train(module, dataset, dataset.lengths, made, PLAN, tmp_path / "work", "toy").resumed_from == 6


class Judge:
    """An evaluation that gives the next of ``scores`` and remembers what it was shown."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.shown: list[dict[str, Tensor]] = []
        self.modes: list[tuple[bool, bool]] = []

    def __call__(self, module: nn.Module) -> dict[str, float]:
        self.modes.append((module.training, torch.is_grad_enabled()))
        self.shown.append(weights_of(module))
        return {"score": self.scores[len(self.shown) - 1], "other": 0.5}


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.9, 0.5, 0.4], 1),
        ([0.9, 0.1, 0.5, 0.8], 0),  # the first, with two newer checkpoints after it
        ([0.1, 0.2, 0.3, 0.4], 3),
        ([0.1, 0.7, 0.7, 0.7], 1),  # the first of the best
    ],
)
def test_the_best_evaluation_s_weights_come_back(tmp_path: Path, scores: list[float], best: int) -> None:
    judge = Judge(scores)
    objective = masked_lm()
    outcome = run(
        objective, dataset_in(tmp_path), tmp_path, evaluation=judge, steps=10, evaluate_every=3, best_by="score"
    )
    # 3, 6, 9 and, because it is the last, 10.
    assert outcome.best_step == [3, 6, 9, 10][best]
    assert_equal(weights_of(objective), judge.shown[best])
    assert judge.modes == [(False, False)] * 4
    evaluations = [entry for entry in outcome.log if "eval_score" in entry]
    assert [(entry["step"], entry["eval_score"], entry["eval_other"]) for entry in evaluations] == [
        (step, score, 0.5) for step, score in zip([3, 6, 9, 10], scores, strict=True)
    ]


def test_evaluation_alone_changes_nothing(tmp_path: Path) -> None:
    judged, alone = masked_lm(), masked_lm()
    judge = Judge([0.9, 0.5, 0.1, 0.0])
    outcome = run(judged, dataset_in(tmp_path), tmp_path / "judged", evaluation=judge, evaluate_every=3)
    run(alone, dataset_in(tmp_path), tmp_path / "alone")
    assert outcome.best_step is None
    assert len(judge.shown) == 4
    assert_equal(weights_of(judged), weights_of(alone))
    assert judged.training


def test_each_update_is_told_how_many_are_done_resumed_ones_included(tmp_path: Path) -> None:
    dataset, done = dataset_in(tmp_path), list[int]()

    def train_on(objective: MaskedLM, collate: Collator) -> int:
        work = tmp_path / "work"
        made = MicroBatches(collate)
        outcome = train(objective, dataset, dataset.lengths, made, PLAN, work, "toy", before_update=done.append)
        return outcome.resumed_from

    killed, resumed = masked_lm(dropout=0), masked_lm(dropout=0)
    with pytest.raises(Killed):
        train_on(killed, Collator(killed.collator, 8))
    assert len(done) > PLAN.save_every and done == list(range(len(done)))
    done.clear()
    began = train_on(resumed, Collator(resumed.collator))
    assert began > 0 and done == list(range(began, PLAN.steps))


def test_mistakes(tmp_path: Path) -> None:
    objective, dataset = masked_lm(), dataset_in(tmp_path)
    with pytest.raises(ValueError, match="needs an evaluation"):
        run(objective, dataset, tmp_path, best_by="score", evaluate_every=3)
    with pytest.raises(ValueError, match="how often"):
        run(objective, dataset, tmp_path, best_by="score", evaluation=Judge([1.0]))
    dataset.indices = np.array([], dtype=np.int64)
    with pytest.raises(UserError, match="toy: there is nothing to train on"):
        run(objective, dataset, tmp_path)
    with pytest.raises(UserError, match="warm-up must be shorter"):
        run(objective, dataset_in(tmp_path), tmp_path, warmup_steps=12)


class Numbers(Dataset[int]):
    """A dataset without epochs whose batch has labels, like many a fine-tuning's."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, number: int) -> int:
        return number


class Line(nn.Module):
    """Has a single weight, and gives what is not logged."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, labels: Tensor, **_: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.weight * 1e-3 - labels.double().mean()).pow(2), "shape": torch.zeros(2)}


def test_other_modules_and_datasets(tmp_path: Path) -> None:
    def collate(rows: Any) -> dict[str, Any]:
        return {"attention_mask": torch.ones(len(rows), 3, dtype=torch.long), "labels": torch.tensor(rows)}

    lengths = np.zeros(12, dtype=np.int64)
    plan = Plan(3, 12, 1e-2, 0, 1, micro_batch=4, log_every=1)
    outcome = train(Line(), Numbers(), lengths, MicroBatches(collate), plan, tmp_path / "work", "toy")
    assert outcome.tokens == 3 * 12 * 3
    # An update reads all twelve; its loss is the plain mean of three micro-batches' losses, whatever "labels" holds.
    (batch,) = EpochBatches(Numbers(), lengths, 12, 1)
    expected = np.mean([np.mean(batch[start : start + 4]) ** 2 for start in (0, 4, 8)])
    assert outcome.log[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert "shape" not in outcome.log[0]
