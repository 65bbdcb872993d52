"""A training that was stopped and goes on ends with the bits of one that was not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simlm.pretraining.objective import Objective
from simlm.training.checkpoints import COMPLETE, is_complete, newest_complete
from simlm.training.plan import Plan
from simlm.training.trainer import Outcome
from tests.damaging import empty, flip, remove, truncate
from tests.training.toys import (
    PLAN,
    Collator,
    Killed,
    assert_equal,
    dataset_in,
    masked_lm,
    replaced_lm,
    run,
    weights_of,
)


def score(module: nn.Module) -> dict[str, float]:
    """Falls as the weights move, so that the first evaluation is the best."""
    start = masked_lm().get_parameter("model.generator_lm_head.bias")
    return {"score": -float((module.get_parameter("model.generator_lm_head.bias") - start).norm())}


class Kind(NamedTuple):
    make: Callable[[], Objective]
    plan: Plan
    evaluation: Callable[[nn.Module], dict[str, float]] | None = None


KINDS = {
    "replaced_lm": Kind(replaced_lm, PLAN),
    "mlm, micro-batches, log schedule, best": Kind(
        masked_lm,
        Plan(
            steps=9,
            batch_size=8,
            learning_rate=5e-3,
            warmup_steps=3,
            seed=12,
            schedule="log",
            micro_batch=4,
            evaluate_every=2,
            best_by="score",
            log_every=3,
        ),
        score,
    ),
}


class Whole(NamedTuple):
    """What an uninterrupted training ended with."""

    weights: dict[str, Tensor]
    outcome: Outcome
    seen: list[list[tuple[int, int]]]


def left_log(outcome: Outcome, folder: Path) -> bytes:
    """The bytes of the log that a stage leaves beside its model."""
    outcome.leave(folder)
    return (folder / "losses.json").read_bytes()


def attempt(kind: Kind, folder: Path, killed_at: int | None = None) -> Whole:
    """One attempt in ``folder``, with new models and another random state than the last one's."""
    dataset = dataset_in(folder)
    objective = kind.make()
    collator = Collator(objective.collator, killed_at)
    torch.manual_seed(killed_at or 0)
    np.random.seed(killed_at or 0)
    outcome = run(objective, dataset, folder, kind.plan, collator, kind.evaluation)
    return Whole(weights_of(objective), outcome, collator.seen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    return {name: attempt(kind, tmp_path_factory.mktemp("whole")) for name, kind in KINDS.items()}


@pytest.mark.parametrize(
    ("name", "killed_at", "resumed_from"),
    [
        ("replaced_lm", 1, 0),
        ("replaced_lm", 5, 3),  # within the first epoch
        ("replaced_lm", 8, 6),  # within the second, saved within it
        ("replaced_lm", 12, 9),
        # A batch, of two micro-batches here, is read ahead.
        ("mlm, micro-batches, log schedule, best", 11, 4),  # where an epoch ends
        ("mlm, micro-batches, log schedule, best", 15, 6),
    ],
)
def test_resume_is_bitwise_equal(
    whole: dict[str, Whole], tmp_path: Path, name: str, killed_at: int, resumed_from: int
) -> None:
    kind = KINDS[name]
    with pytest.raises(Killed):
        attempt(kind, tmp_path, killed_at)
    again = attempt(kind, tmp_path)
    assert again.outcome.resumed_from == resumed_from
    assert_equal(again.weights, whole[name].weights)
    assert again.outcome.best_step == whole[name].outcome.best_step
    assert left_log(again.outcome, tmp_path) == left_log(whole[name].outcome, tmp_path)
    assert again.seen == whole[name].seen[-len(again.seen) :]


def test_killed_over_and_over(whole: dict[str, Whole], tmp_path: Path) -> None:
    kind = KINDS["replaced_lm"]
    for killed_at in (5, 4, 4, 1):
        with pytest.raises(Killed):
            attempt(kind, tmp_path, killed_at)
    assert_equal(attempt(kind, tmp_path).weights, whole["replaced_lm"].weights)


@pytest.mark.parametrize("name", KINDS)
def test_a_finished_training_is_not_trained_further(whole: dict[str, Whole], tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    first = attempt(kind, tmp_path)
    again = attempt(kind, tmp_path)
    assert again.seen == []
    assert again.outcome.resumed_from == kind.plan.steps
    assert (again.outcome.best_step, again.outcome.tokens) == (first.outcome.best_step, 0)
    assert_equal(again.weights, whole[name].weights)
    assert left_log(again.outcome, tmp_path) == left_log(first.outcome, tmp_path) != b"[]"


def test_the_folder_may_move(whole: dict[str, Whole], tmp_path: Path) -> None:
    name = "mlm, micro-batches, log schedule, best"
    for killed_at in (8, None):
        source = tmp_path / f"before-{killed_at}"
        source.mkdir()
        if killed_at:
            with pytest.raises(Killed):
                attempt(KINDS[name], source, killed_at)
        else:
            attempt(KINDS[name], source)
        moved = source.rename(tmp_path / f"after-{killed_at}")
        assert_equal(attempt(KINDS[name], moved).weights, whole[name].weights)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training killed after its second checkpoint, at step 6."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        attempt(KINDS["replaced_lm"], folder, killed_at=8)
    return folder


FILES = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", COMPLETE]


def test_these_are_all_files(killed: Path) -> None:
    assert sorted(path.name for path in (killed / "work" / "checkpoint-6").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("damage", [remove, empty, truncate, flip])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_not_resumed_from(
    whole: dict[str, Whole],
    killed: Path,
    tmp_path: Path,
    file: str,
    damage: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = Path(shutil.copytree(killed, tmp_path / "copy"))
    damage(copy / "work" / "checkpoint-6" / file)
    if damage is not remove or file == "rng_state.pth":
        # What is found is the same as below; training again costs more.
        assert newest_complete(copy / "work") == copy / "work" / "checkpoint-3"
    else:
        again = attempt(KINDS["replaced_lm"], copy)
        assert again.outcome.resumed_from == 3
        assert_equal(again.weights, whole["replaced_lm"].weights)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{copy / 'work' / 'checkpoint-6'} is not used: ")


def test_without_any_complete_checkpoint_it_starts_anew(whole: dict[str, Whole], killed: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(killed, tmp_path / "copy"))
    (copy / "work" / "checkpoint-6" / "optimizer.pt").unlink()
    (copy / "work" / "checkpoint-3" / "rng_state.pth").unlink()
    again = attempt(KINDS["replaced_lm"], copy)
    assert again.outcome.resumed_from == 0
    assert_equal(again.weights, whole["replaced_lm"].weights)


def test_a_checkpoint_whose_best_is_damaged_is_of_no_use(whole: dict[str, Whole], tmp_path: Path) -> None:
    name = "mlm, micro-batches, log schedule, best"
    with pytest.raises(Killed):
        attempt(KINDS[name], tmp_path, killed_at=15)
    newest = newest_complete(tmp_path / "work")
    assert newest is not None
    best = json.loads((newest / "trainer_state.json").read_text())["best_global_step"]
    assert (newest.name, best) == ("checkpoint-6", 2)
    (tmp_path / "work" / f"checkpoint-{best}" / "model.safetensors").unlink()
    again = attempt(KINDS[name], tmp_path)
    assert again.outcome.resumed_from == 0
    assert_equal(again.weights, whole[name].weights)


@pytest.mark.parametrize("content", ["", "[]", "[1]", "{}", '{"model.safetensors": 3}', "null", '"text"'])
def test_a_list_of_files_that_is_none(tmp_path: Path, content: str) -> None:
    checkpoint = tmp_path / "checkpoint-3"
    checkpoint.mkdir()
    (checkpoint / COMPLETE).write_text(content)
    assert not is_complete(checkpoint)
    assert newest_complete(tmp_path) is None
    assert not checkpoint.exists()


def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "missing") is None
