"""What a training does beside its updates: a progress bar, log entries before checkpoints, and snapshots of weights."""

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from simlm.files import intact, sealed_file
from simlm.progress import Bar


class ProgressBar(TrainerCallback):
    """Shows a bar of the updates, in the first of several processes."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar: Bar | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = Bar(total=state.max_steps, initial=state.global_step, desc=self.description, unit="step")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.done)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class BeforeUpdate(TrainerCallback):
    """Calls a function before each update, with the number of updates that are done."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self.call = call

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.call(state.global_step)


class LogAtCheckpoints(TrainerCallback):
    """Logs before every checkpoint: the losses since the last log entry are in no checkpoint and would be lost."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_log = control.should_log or control.should_save


def snapshot_in(folder: Path, step: int) -> Path:
    """Return where the weights after ``step`` updates are kept."""
    return folder / f"{step}.safetensors"


def unique_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's tensors, each once, under the first of its names.

    ``safetensors.torch.load_model`` reads them back. Its own ``save_model`` also notes the other names, in an order
    that differs from run to run: the same weights would not give the same bytes.
    """
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict().items():
        named.setdefault(tensor.data_ptr(), (name, tensor.contiguous()))
    return dict(named.values())


class Snapshots(TrainerCallback):
    """Keeps the weights of a module as they are after some of the updates.

    A file is there whole or not at all. It is written before the checkpoint of the same update, so that a training that
    resumes from a checkpoint finds the earlier ones (`reach`) and writes the others, maybe again.

    Args:
        module: the trained module, or a part of it.
        steps: after which updates.
        folder: where files are written.
    """

    def __init__(self, module: nn.Module, steps: Collection[int], folder: Path) -> None:
        self.module = module
        self.steps = frozenset(steps)
        self.folder = folder

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step in self.steps and state.is_world_process_zero:
            with sealed_file(snapshot_in(self.folder, state.global_step)) as temporary:
                safetensors.torch.save_file(unique_weights(self.module), str(temporary))

    def reach(self, step: int) -> bool:
        """Tell whether every snapshot of the first ``step`` updates is there and whole."""
        return all(intact(snapshot_in(self.folder, due)) for due in sorted(self.steps) if due <= step)

    def copy_to(self, folder: Path) -> None:
        """Copy every snapshot, after training."""
        folder.mkdir(parents=True, exist_ok=True)
        for step in self.steps:
            shutil.copyfile(snapshot_in(self.folder, step), snapshot_in(folder, step))
