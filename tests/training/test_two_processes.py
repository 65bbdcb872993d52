"""Two processes on the CPU train as one does that accumulates, and resume."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from simlm.training.checkpoints import is_complete
from tests.training import two_processes
from tests.training.toys import PLAN, Collator, assert_near, dataset_in, masked_lm, run
from tests.training.two_processes import EVEN, STEPS, WORLD

ROOT = Path(__file__).parents[2]
NUMBERS = ("seen", "tokens", "resumed_from", "losses")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes left what they have to show."""
    folder = tmp_path_factory.mktemp("two")
    shared = {"WORLD_SIZE": WORLD, "LOCAL_WORLD_SIZE": WORLD, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    command = [sys.executable, "-m", two_processes.__name__, str(folder)]
    workers = []
    for rank in range(WORLD):
        environment = {name: str(value) for name, value in (shared | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        workers.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | environment | {"OMP_NUM_THREADS": "1"}))
    try:
        assert [worker.wait(timeout=300) for worker in workers] == [0] * WORLD
    finally:
        for worker in workers:
            worker.kill()
    return folder


def batches_of(result: dict[str, Tensor]) -> Tensor:
    """(epoch, passage) of every example that a process read, (batches, batch size, 2)."""
    return result["seen"].reshape(-1, PLAN.batch_size, 2)


def left(folder: Path, name: str) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{name}-{rank}.safetensors") for rank in range(WORLD)]


@pytest.mark.parametrize("name", ["whole", "killed and resumed", "uneven"])
def test_both_end_with_the_same_weights(folder: Path, name: str) -> None:
    first, second = left(folder, name)
    assert all(torch.equal(first[weight], second[weight]) for weight in first if weight not in NUMBERS)


def test_resume_is_bitwise_equal(folder: Path) -> None:
    for whole, resumed in zip(left(folder, "whole"), left(folder, "killed and resumed"), strict=True):
        assert resumed["resumed_from"] == 4
        rows = len(resumed["seen"])
        assert torch.equal(resumed["seen"], whole["seen"][-rows:])
        assert all(torch.equal(whole[weight], resumed[weight]) for weight in whole if weight not in NUMBERS)


def test_two_processes_are_one_that_accumulates(folder: Path, tmp_path: Path) -> None:
    objective = masked_lm(dropout=0)
    collator = Collator(objective.collator)
    outcome = run(
        objective,
        dataset_in(tmp_path, EVEN),
        tmp_path,
        collator=collator,
        steps=STEPS,
        save_every=0,
        accumulation=WORLD,
    )
    results = left(folder, "whole")
    # Batches are dealt in turn; each loader reads one ahead.
    together = torch.stack([batches_of(result)[:STEPS] for result in results], dim=1).flatten(0, 1)
    assert torch.equal(together, torch.tensor(collator.seen[: WORLD * STEPS]))
    for result in results:
        assert result["losses"].tolist() == pytest.approx(
            [entry["loss"] for entry in outcome.log if "loss" in entry], rel=1e-4
        )
        assert result["tokens"] == outcome.tokens
    ended = masked_lm()
    ended.load_state_dict({name: weight for name, weight in results[0].items() if name not in NUMBERS})
    assert_near(ended, objective)


def test_no_passage_is_left_out_where_batches_are_uneven(folder: Path) -> None:
    batches = [batches_of(result)[:3] for result in left(folder, "uneven")]
    passages = torch.cat(batches)[..., 1].flatten().tolist()
    assert {int(epoch) for one in batches for epoch in one[..., 0].flatten()} == {0}
    assert (len(passages), len(set(passages))) == (48, 40)


def test_the_last_checkpoint_holds_the_random_state_of_both(folder: Path) -> None:
    checkpoint = folder / "whole" / "work" / f"checkpoint-{STEPS}"
    assert is_complete(checkpoint)
    listed = (checkpoint / "complete.json").read_text()
    for rank in range(WORLD):
        assert f"rng_state_{rank}.pth" in listed
