"""One of two gloo processes of `test_two_processes`: python -m tests.training.two_processes FOLDER.

Started as torchrun starts its workers. Trains whole, then again with an end in the middle, then on from there.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.training.toys import Collator, Killed, dataset_in, masked_lm, run, weights_of

WORLD = 2
STEPS, KILLED_AT = 8, 6  # three updates an epoch: it resumes within the second, where it matters which one it is
EVEN, UNEVEN = 52, 44  # passages that make six batches, or five: then one process gets an example twice


def attempt(folder: Path, rank: int, name: str, killed_at: int | None = None, passages: int = EVEN) -> None:
    objective = masked_lm(dropout=0)
    collator = Collator(objective.collator, killed_at)
    dataset = dataset_in(folder / f"data-{rank}", passages)
    torch.manual_seed(rank)
    outcome = run(objective, dataset, folder / name.split()[0], collator=collator, steps=STEPS, save_every=4)
    save_file(
        weights_of(objective)
        | {
            "seen": torch.tensor([row for batch in collator.seen for row in batch]),
            "tokens": torch.tensor(outcome.tokens),
            "resumed_from": torch.tensor(outcome.resumed_from),
            "losses": torch.tensor([entry["loss"] for entry in outcome.log if "loss" in entry]),
        },
        folder / f"{name}-{rank}.safetensors",
    )


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    attempt(folder, rank, "whole")
    attempt(folder, rank, "uneven", passages=UNEVEN)
    try:
        attempt(folder, rank, "killed", KILLED_AT)
    except Killed:
        attempt(folder, rank, "killed and resumed")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
