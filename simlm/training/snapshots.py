"""Weights on the way: a part of the trained module as it was after given updates, kept when training is over."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def snapshot_in(folder: Path, step: int) -> Path:
    """Where the weights after ``step`` updates lie."""
    return folder / f"{step}.safetensors"


def unique_weights(module: nn.Module) -> dict[str, Tensor]:
    """The module's tensors, each once, under the first of its names; ``safetensors.torch.load_model`` takes them back.

    Its own ``save_model`` also notes the other names, in an order that differs from run to run: the same weights would
    not give the same bytes.
    """
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict().items():
        named.setdefault(tensor.data_ptr(), (name, tensor.contiguous()))
    return dict(named.values())


class Snapshots(TrainerCallback):
    """Leaves the weights of ``module`` under ``folder`` after each of the updates ``steps``.

    A file is there whole or not at all. It is written before the checkpoint of the same update, so that a training
    which goes on from a checkpoint finds those that it has passed (``reach``) and writes the others, maybe again.
    """

    def __init__(self, module: nn.Module, steps: Collection[int], folder: Path) -> None:
        self.module = module
        self.steps = frozenset(steps)
        self.folder = folder

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step in self.steps and state.is_world_process_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = snapshot_in(self.folder, state.global_step)
            partial = path.with_suffix(".partial")
            safetensors.torch.save_file(unique_weights(self.module), str(partial))
            partial.replace(path)

    def reach(self, step: int) -> bool:
        """Whether every snapshot of the first ``step`` updates is there."""
        return all(snapshot_in(self.folder, due).is_file() for due in self.steps if due <= step)

    def copy_to(self, folder: Path) -> None:
        """Copy every snapshot, after training."""
        folder.mkdir(parents=True, exist_ok=True)
        for step in self.steps:
            shutil.copyfile(snapshot_in(self.folder, step), snapshot_in(folder, step))
