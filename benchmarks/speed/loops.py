"""Forward passes over tokenised texts: in packs, or in padded batches."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import passages as synthetic
from benchmarks.speed.machine import Machine
from simlm.data.inputs import Encoded, batch_inputs
from simlm.packed.layouts import Inference
from simlm.packed.pack import full_parts


def over_packs(rows: list[Encoded], compute: Inference) -> Callable[[], None]:
    """Fill packs as stages encode and score with, in the order of ``rows``."""
    parts = list(full_parts(np.array([len(ids) for ids, _ in rows]), compute.batch_tokens))

    def work() -> None:
        torch.cat([compute(compute.collate(rows[part])) for part in parts]).cpu()

    return work


def over_batches(
    machine: Machine, batches: Iterable[list[Encoded]], output: Callable[[dict[str, Any]], Tensor]
) -> Callable[[], None]:
    """Batches, each padded to its longest text in the loop."""
    chosen = list(batches)

    def work() -> None:
        with torch.inference_mode(), machine.autocast():
            padded = (batch_inputs(batch, synthetic.SPECIALS) for batch in chosen)
            moved = ({name: tensor.to(machine.device) for name, tensor in batch.items()} for batch in padded)
            torch.cat([output(batch) for batch in moved]).cpu()

    return work


def in_order(rows: list[Encoded], size: int = 64) -> list[list[Encoded]]:
    """Batches as texts come."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
