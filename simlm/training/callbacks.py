"""What a training does beside its updates: it shows a bar, says how far it is, and logs before a checkpoint."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from simlm.progress import Bar


class Follow(TrainerCallback):
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


class Begin(TrainerCallback):
    """Calls ``begin`` before each update with the number of those that are done."""

    def __init__(self, begin: Callable[[int], None]) -> None:
        self.begin = begin

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.begin(state.global_step)


class LogAtCheckpoints(TrainerCallback):
    """Logs before every checkpoint: losses since the last entry, which are in no checkpoint, are lost to nobody."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_log = control.should_log or control.should_save
