"""One of two gloo processes of `test_two_processes`: python -m tests.training.two_processes FOLDER.

Trains whole, then again with an end in the middle, then on from there; and with batches that do not come out even.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from simlm.training.trainer import Outcome
from tests.pairs import meet, part
from tests.training.toys import Collator, Killed, dataset_in, replaced_lm, run, weights_of

STEPS, KILLED_AT = 8, 7  # five updates an epoch: it resumes within the first, where it matters which batches are left
PASSAGES = 44
MICRO_BATCHES = {"whole": 4, "uneven": 3, "undivided": 0}
"""Of a batch of 8: one for each process; two for the first and one for the second; one for the first alone."""


def trained(folder: Path, collator: Collator, name: str, objective: torch.nn.Module, data: Path) -> Outcome:
    """A training of micro-batches as the name says, which leaves its checkpoints in a folder of that name."""
    size = MICRO_BATCHES.get(name, MICRO_BATCHES["whole"])
    return run(
        objective,  # type: ignore[arg-type]
        dataset_in(data, PASSAGES),
        folder / name,
        collator=collator,
        steps=STEPS,
        save_every=4,
        micro_batch=size,
    )


def attempt(folder: Path, rank: int, name: str, killed_at: int | None = None) -> None:
    objective = replaced_lm(dropout=0)
    collator = Collator(objective.collator, killed_at)
    outcome = trained(folder, collator, name.split()[0], objective, folder / f"data-{rank}")
    save_file(
        weights_of(objective)
        | {
            "seen": torch.tensor([row for batch in collator.seen for row in batch]),
            "tokens": torch.tensor(outcome.tokens),
            "resumed_from": torch.tensor(outcome.resumed_from),
            "losses": torch.tensor([entry["loss"] for entry in outcome.log if "loss" in entry]),
            "parts": torch.tensor([entry["decoder_loss"] for entry in outcome.log if "decoder_loss" in entry]),
        },
        folder / f"{name}-{rank}.safetensors",
    )


def draws(folder: Path, rank: int) -> None:
    """What the random state is after a training with dropout."""
    objective = replaced_lm(dropout=0.2)
    run(objective, dataset_in(folder / f"data-{rank}", PASSAGES), folder / "dropout", steps=3, micro_batch=4)
    save_file(weights_of(objective) | {"draws": torch.rand(4)}, folder / f"dropout-{rank}.safetensors")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank = meet()
    for name in MICRO_BATCHES:
        attempt(folder, rank, name)
    try:
        attempt(folder, rank, "killed", KILLED_AT)
    except Killed:
        attempt(folder, rank, "killed and resumed")
    draws(folder, rank)
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
