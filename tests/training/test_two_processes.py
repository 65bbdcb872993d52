"""Two processes on the CPU train as one does, whatever the micro-batches, and resume."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from simlm.training.checkpoints import is_complete
from tests.pairs import WORLD, run_pair
from tests.training import two_processes
from tests.training.toys import PLAN, Collator, assert_near, replaced_lm
from tests.training.two_processes import MICRO_BATCHES, STEPS, trained

NUMBERS = ("seen", "tokens", "resumed_from", "losses", "parts", "draws")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes left what they have to show."""
    folder = tmp_path_factory.mktemp("two")
    run_pair(two_processes.__name__, folder)
    return folder


def left(folder: Path, name: str) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{name}-{rank}.safetensors") for rank in range(WORLD)]


@pytest.mark.parametrize("name", [*MICRO_BATCHES, "killed and resumed", "dropout"])
def test_both_end_with_the_same_weights(folder: Path, name: str) -> None:
    first, second = left(folder, name)
    assert all(torch.equal(first[weight], second[weight]) for weight in first if weight not in NUMBERS)


def test_resume_is_bitwise_equal(folder: Path) -> None:
    for whole, resumed in zip(left(folder, "whole"), left(folder, "killed and resumed"), strict=True):
        assert resumed["resumed_from"] == 4
        rows = len(resumed["seen"])
        assert torch.equal(resumed["seen"], whole["seen"][-rows:])
        assert all(torch.equal(whole[weight], resumed[weight]) for weight in whole if weight not in NUMBERS)


@pytest.mark.parametrize("name", MICRO_BATCHES)
def test_two_processes_are_one(folder: Path, name: str, tmp_path: Path) -> None:
    objective = replaced_lm(dropout=0)
    collator = Collator(objective.collator)
    outcome = trained(tmp_path, collator, name, objective, tmp_path)
    logged = {key: [entry[key] for entry in outcome.log if key in entry] for key in ("loss", "decoder_loss")}
    for result in left(folder, name):
        assert result["losses"].tolist() == pytest.approx(logged["loss"], rel=1e-5)
        assert result["parts"].tolist() == pytest.approx(logged["decoder_loss"], rel=1e-5)
        assert result["tokens"] == outcome.tokens
    ended = replaced_lm()
    weights = left(folder, name)[0]
    ended.load_state_dict({name: weight for name, weight in weights.items() if name not in NUMBERS})
    assert_near(ended, objective)


def test_they_share_the_batches_of_one(folder: Path, tmp_path: Path) -> None:
    collator = Collator(replaced_lm().collator)
    trained(tmp_path, collator, "whole", replaced_lm(dropout=0), tmp_path)
    micro_batch = MICRO_BATCHES["whole"]
    seen = [result["seen"].reshape(-1, micro_batch, 2)[:STEPS] for result in left(folder, "whole")]
    together = torch.stack(seen, dim=1).reshape(-1, PLAN.batch_size, 2)
    one = torch.tensor(collator.seen).reshape(-1, PLAN.batch_size, 2)[:STEPS]
    assert torch.equal(together, one)


def test_each_draws_dropout_of_its_own(folder: Path) -> None:
    first, second = left(folder, "dropout")
    assert not torch.equal(first["draws"], second["draws"])


def test_the_last_checkpoint_holds_the_random_state_of_both(folder: Path) -> None:
    checkpoint = folder / "whole" / "work" / f"checkpoint-{STEPS}"
    assert is_complete(checkpoint)
    listed = (checkpoint / "complete.json").read_text()
    for rank in range(WORLD):
        assert f"rng_state_{rank}.pth" in listed
