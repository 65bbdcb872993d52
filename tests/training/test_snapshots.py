"""The encoder on the way: what is kept, and that a kill changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from simlm.files import intact
from simlm.training.batches import MicroBatches
from simlm.training.callbacks import Snapshots, snapshot_in, unique_weights
from simlm.training.checkpoints import WEIGHTS, newest, newest_complete
from simlm.training.trainer import Outcome, train
from tests.damaging import empty, flip, remove, truncate
from tests.training.toys import PLAN, Collator, Killed, assert_equal, dataset_in, replaced_lm, weights_of

STEPS = (1, 5, 9, 12)
"""Checkpoints are at 3, 6, 9 and 12."""


class Attempt(NamedTuple):
    weights: dict[str, Tensor]
    kept: dict[int, dict[str, Tensor]]
    outcome: Outcome


def kept_in(folder: Path) -> dict[int, dict[str, Tensor]]:
    files = sorted((folder / "work" / "snapshots").glob("*.safetensors"))
    return {int(path.stem): safetensors.torch.load_file(path) for path in files}


def attempt(folder: Path, killed_at: int | None = None, steps: tuple[int, ...] | None = STEPS) -> Attempt:
    """One attempt of a process in ``folder``; ``steps`` None trains as if nobody wanted snapshots."""
    dataset, objective = dataset_in(folder), replaced_lm()
    torch.manual_seed(killed_at or 0)
    outcome = train(
        objective,
        dataset,
        MicroBatches(Collator(objective.collator, killed_at)),
        PLAN,
        folder / "work",
        "toy",
        snapshots=None if steps is None else Snapshots(objective.encoder, steps, folder / "work" / "snapshots"),
    )
    return Attempt(weights_of(objective), kept_in(folder), outcome)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Attempt:
    """An uninterrupted training in ``folder``, which keeps its last two checkpoints."""
    return attempt(folder)


def assert_same(ours: Attempt, theirs: Attempt) -> None:
    assert_equal(ours.weights, theirs.weights)
    assert ours.kept.keys() == theirs.kept.keys() == set(STEPS)
    for step in STEPS:
        assert_equal(ours.kept[step], theirs.kept[step])


def test_keeping_snapshots_leaves_the_training_as_it_is(whole: Attempt, tmp_path: Path) -> None:
    without = attempt(tmp_path, steps=None)
    assert_equal(without.weights, whole.weights)
    assert without.outcome.log[:-1] == whole.outcome.log[:-1]  # the last line times the attempt


def test_a_snapshot_is_the_encoder_of_its_update(whole: Attempt, folder: Path) -> None:
    """The checkpoint of the same update is another file of the same weights."""
    for step in (9, 12):
        encoder, module = replaced_lm().encoder, replaced_lm()
        safetensors.torch.load_model(module, folder / "work" / f"checkpoint-{step}" / WEIGHTS)
        safetensors.torch.load_model(encoder, snapshot_in(folder / "work" / "snapshots", step))
        assert_equal(weights_of(encoder), weights_of(module.encoder))
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert len({float(whole.kept[step][embeddings].sum()) for step in STEPS}) == len(STEPS)


def test_killed_between_a_snapshot_and_the_next_checkpoint(whole: Attempt, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        attempt(tmp_path, killed_at=7)
    late = snapshot_in(tmp_path / "work" / "snapshots", 5)
    assert_equal(safetensors.torch.load_file(late), whole.kept[5])
    safetensors.torch.save_file({"of the killed process": torch.zeros(1)}, late)  # on a GPU it may not be the same
    again = attempt(tmp_path)
    assert again.outcome.resumed_from == 3
    assert_same(again, whole)


def test_killed_after_a_snapshot_and_the_checkpoint_of_its_update(whole: Attempt, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        attempt(tmp_path, killed_at=11)
    again = attempt(tmp_path)
    assert again.outcome.resumed_from == 9
    assert_same(again, whole)


def test_killed_while_one_is_written(whole: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = safetensors.torch.save_file

    def half(tensors: dict[str, Tensor], path: str, **rest: Any) -> None:
        write(tensors, path, **rest)
        if Path(path).parent.name == "snapshots" and Path(path).name.startswith(".5."):
            content = Path(path).read_bytes()
            Path(path).write_bytes(content[: len(content) // 2])
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(safetensors.torch, "save_file", half)
        with pytest.raises(Killed):
            attempt(tmp_path)
    assert kept_in(tmp_path).keys() == {1}
    assert_same(attempt(tmp_path), whole)
    finished = attempt(tmp_path)
    assert finished.outcome.resumed_from == PLAN.steps
    assert_same(finished, whole)


def test_work_that_lacks_a_snapshot_is_begun_anew(whole: Attempt, tmp_path: Path) -> None:
    """As that of a version that kept none: going on would end without it."""
    with pytest.raises(Killed):
        attempt(tmp_path, killed_at=6, steps=None)
    assert newest_complete(tmp_path / "work") is not None
    again = attempt(tmp_path)
    assert again.outcome.resumed_from == 0
    assert_same(again, whole)


@pytest.mark.parametrize("damage", [remove, empty, truncate, flip])
def test_a_damaged_snapshot_is_made_again(
    whole: Attempt, tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """From the last checkpoint before it: nothing else has the weights of its update."""
    with pytest.raises(Killed):
        attempt(tmp_path, killed_at=8)
    late = snapshot_in(tmp_path / "work" / "snapshots", 5)
    damage(late)
    if damage is not flip:
        assert newest_complete(tmp_path / "work", lambda step: step < 5 or intact(late)) is not None
        assert newest(tmp_path / "work") == tmp_path / "work" / "checkpoint-3"
    else:
        again = attempt(tmp_path)
        assert again.outcome.resumed_from == 3
        assert_same(again, whole)
    assert (f"{late} is damaged or unfinished: it is made again" in capsys.readouterr().err) == (damage is not remove)


def test_only_whole_snapshots_are_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "work", tmp_path / "output"
    source.mkdir()
    for name in ("1.safetensors", "5.safetensors", "5.partial"):
        (source / name).write_text(name)
    Snapshots(torch.nn.Linear(1, 1), (1, 5), source).copy_to(target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        name: name for name in ("1.safetensors", "5.safetensors")
    }


def test_weights_with_two_names_are_kept_once_and_give_the_same_bytes_every_time() -> None:
    """Twenty times: what safetensors notes of the other names comes in an order of chance."""
    embedding, output = nn.Embedding(9, 4), nn.Linear(4, 9)
    output.weight = embedding.weight
    module = nn.ModuleDict({"embedding": embedding, "output": output})
    assert set(unique_weights(module)) == {"embedding.weight", "output.bias"}
    assert len({safetensors.torch.save(unique_weights(module)) for _ in range(20)}) == 1
