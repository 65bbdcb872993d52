"""Forward passes over tokenised texts: in packs of one shape, or in padded batches."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.benching import passages as synthetic
from repro.benching.machine import Machine
from simlm.data.inputs import Encoded, batch_inputs
from simlm.packed.inputs import Pack, full_parts, pack

PACK = 65_536
"""Tokens of a pack on a GPU."""
MULTIPLE = 1_024
"""A pack's texts, with empty ones, are a multiple of it: compiled code is compiled once."""


def over_packs(
    machine: Machine, rows: list[Encoded], longest: int, output: Callable[[Pack], Tensor]
) -> Callable[[], None]:
    """Packs of one shape, made in the loop; ``longest`` is the length of the longest text that can come."""
    parts = list(full_parts(np.array([len(ids) for ids, _ in rows]), PACK))

    def work() -> None:
        with torch.no_grad(), machine.autocast():
            packs = (pack(rows[part], synthetic.SPECIALS.pad, PACK, MULTIPLE, longest) for part in parts)
            torch.cat([output(one.pin_memory().to(machine.device)) for one in packs]).cpu()

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
