"""One way to train every stage: transformers' Trainer, with batches keyed by epoch and checkpoints that are whole."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from simlm.errors import UserError
from simlm.progress import Bar
from simlm.scales import settings_file
from simlm.training.batches import EpochBatches
from simlm.training.checkpoints import STATE, checkpoint_of, newest_complete, seal, step_of
from simlm.training.plan import Plan, arguments
from simlm.training.schedule import schedule
from simlm.training.snapshots import Snapshots

WEIGHTS = "model.safetensors"


@dataclass
class Outcome:
    """What training did: (step, {name: value}) of the log, real tokens seen and seconds taken in this attempt.

    ``tokens`` are those of all processes, ``resumed_from`` is the step of the checkpoint that this attempt began with.
    """

    log: list[dict[str, float]] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    resumed_from: int = 0
    best_step: int | None = None


class _Follow(TrainerCallback):
    """Shows a bar."""

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


class StageTrainer(Trainer):
    """Trainer over a module that returns {"loss": ..., further scalars to log}; ``evaluation`` measures it on valid."""

    # Micro-batches are averaged, whatever keys their batches have (METHOD: a plain mean over accumulation steps).
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        plan: Plan,
        module: nn.Module,
        batches: EpochBatches,
        evaluation: Callable[[nn.Module], dict[str, float]] | None,
        description: str,
        **rest: Any,
    ) -> None:
        self.plan = plan
        self.description = description
        self.module = module
        self.batches = batches
        self.evaluation = evaluation
        self.parts: dict[str, list[Tensor]] = {}
        self.unchecked: list[tuple[int, Tensor]] = []
        super().__init__(model=module, train_dataset=batches.dataset, **rest)
        self.tokens = torch.zeros((), dtype=torch.int64, device=self.args.device)

    def get_train_dataloader(self) -> DataLoader[Any]:
        workers = self.args.dataloader_num_workers
        if workers:
            # They are new in every epoch; what they import is imported once, in the server that they are forked from.
            modules = {type(part).__module__ for part in (self.batches.dataset, self.data_collator)}
            multiprocessing.set_forkserver_preload(["torch", *sorted(modules)])
        loader: DataLoader[Any] = DataLoader(
            self.batches.dataset,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared = self.accelerator.prepare(loader)
        if self.accelerator.num_processes > 1:
            # A run that resumes within an epoch puts a sampler that skips around the one that deals batches to
            # processes, and accelerate would look for set_epoch in vain.
            prepared.batch_sampler.sampler = self.batches
        return prepared

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LambdaLR:
        if self.lr_scheduler is None:
            shape = schedule(self.plan.schedule, self.plan.warmup_steps, self.plan.steps)
            chosen = optimizer if optimizer is not None else self.optimizer
            assert chosen is not None, "the Trainer makes its optimizer before its scheduler"
            self.lr_scheduler = LambdaLR(chosen, shape)
        return self.lr_scheduler

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**inputs)
        for name, value in outputs.items():
            if name != "loss" and isinstance(value, Tensor) and value.dim() == 0:
                self.parts.setdefault(name, []).append(value.detach())
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        self.tokens += _real_tokens(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.unchecked.append((self.state.global_step + 1, torch.isfinite(loss)))
        # Reading a value back makes a GPU wait, so there it is done every few updates only.
        if loss.device.type == "cpu" or len(self.unchecked) >= self.plan.log_every * self.plan.accumulation:
            self.check_losses()
        return loss

    def check_losses(self) -> None:
        """UserError when a loss since the last check was not finite."""
        for (step, _), finite in zip(self.unchecked, _values(self.unchecked), strict=True):
            if not finite:
                raise self._diverged("the loss became infinite or not a number", step)
        self.unchecked.clear()

    def check_weights(self) -> None:
        """UserError when a weight is not finite: a loss can be finite and its gradient not."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.module.parameters()):
            raise self._diverged("weights became infinite or not a number", self.state.global_step)

    def _diverged(self, what: str, step: int) -> UserError:
        good = newest_complete(Path(str(self.args.output_dir)))
        return UserError(
            f"{self.description}: {what} at step {step} of {self.plan.steps}; last good checkpoint: {good or 'none'}; "
            f"lower its learning rate, {self.plan.learning_rate:g}, in {settings_file()} and run again"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for name, values in self.parts.items():
            mean = self.accelerator.reduce(torch.stack(values).float().mean(), "mean")
            logs[name] = round(float(mean), 6)
        self.parts.clear()
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        if self.evaluation is None:
            return {}
        was_training = self.module.training
        self.module.eval()
        with torch.no_grad():
            metrics = {f"eval_{name}": value for name, value in self.evaluation(self.module).items()}
        self.module.train(was_training)
        self.log(dict(metrics))
        # Tells the loop that it is done: it would evaluate once more where an epoch ends.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.check_losses()
        self.check_weights()
        super()._save_checkpoint(model, trial)
        # Every process writes its own random state; the list of files must hold the last of them.
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal(checkpoint_of(Path(str(self.args.output_dir)), self.state.global_step))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.module, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(self.module, Path(resume_from_checkpoint) / WEIGHTS)


def _values(flags: Sequence[tuple[int, Tensor]]) -> list[bool]:
    """The flags of (step, flag), read back at once."""
    return torch.stack([flag for _, flag in flags]).tolist() if flags else []


def _real_tokens(inputs: Any) -> Tensor | int:
    """Unpadded tokens among all attention masks of a batch, nested dictionaries included."""
    total: Tensor | int = 0
    for name, value in inputs.items():
        if isinstance(value, dict):
            total = total + _real_tokens(value)
        elif name == "attention_mask":
            total = total + value.sum()
    return total


def train(
    module: nn.Module,
    dataset: Dataset[Any],
    lengths: NDArray[np.int64],
    collate: Callable[[Sequence[Any]], dict[str, Any]],
    plan: Plan,
    folder: Path,
    description: str,
    evaluation: Callable[[nn.Module], dict[str, float]] | None = None,
    snapshots: Snapshots | None = None,
) -> Outcome:
    """Train ``module`` in place, on the device it is on, resuming from the newest complete checkpoint under ``folder``.

    ``lengths`` (n,) are the examples' token counts, by which batches are bucketed. With ``plan.best_by`` the module
    ends with the weights of its best evaluation, otherwise with its last ones; all of ``snapshots`` are there then.
    UserError when there is nothing to train on, or when a loss or a weight is not finite.
    """
    if len(lengths) == 0:
        raise UserError(f"{description}: there is nothing to train on; give a collection with more texts")
    if plan.best_by is not None and (evaluation is None or plan.evaluate_every == 0):
        raise ValueError("choosing the best checkpoint needs an evaluation and how often to do it")
    start = time.perf_counter()
    resume = newest_complete(folder) if snapshots is None else newest_complete(folder, snapshots.reach)
    resumed_from = step_of(resume) if resume is not None else 0
    if resume is not None and resumed_from >= plan.steps:
        # The Trainer would make one more update, and then stop.
        module.train()
        safetensors.torch.load_model(module, resume / WEIGHTS)
        state, tokens = TrainerState.load_from_json(str(resume / STATE)), 0
    else:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder.parent / "tensorboard")
        trainer = StageTrainer(
            plan,
            module,
            EpochBatches(dataset, lengths, plan.batch_size, plan.seed),
            evaluation,
            description,
            args=arguments(plan, folder, evaluation is not None, next(module.parameters()).device),
            eval_dataset=dataset if evaluation is not None else None,
            data_collator=collate,
            callbacks=[_Follow(description), *([] if snapshots is None else [snapshots])],
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        trainer.check_losses()
        trainer.check_weights()
        # From here on the module computes in its own precision, also where the Trainer put autocast around it.
        trainer.accelerator.unwrap_model(module, keep_fp32_wrapper=False)
        state, tokens = trainer.state, int(trainer.accelerator.reduce(trainer.tokens, "sum"))
    best = state.best_global_step if plan.best_by else None
    if best is not None:
        safetensors.torch.load_model(module, checkpoint_of(folder, best) / WEIGHTS)
    return Outcome(
        log=[dict(entry) for entry in state.log_history],
        tokens=tokens,
        seconds=time.perf_counter() - start,
        resumed_from=resumed_from,
        best_step=best,
    )
