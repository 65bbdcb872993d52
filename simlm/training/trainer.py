"""One way to train every stage: transformers' Trainer, with batches keyed by epoch and checkpoints that are whole."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from simlm.data.batching import LengthBucketedSampler
from simlm.errors import UserError
from simlm.progress import Bar
from simlm.training.checkpoints import newest_complete, seal
from simlm.training.schedule import schedule

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train (Tables 11 and 13). Counts are updates; ``batch_size`` is a process's own."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    seed: int
    schedule: str = "linear"
    accumulation: int = 1
    save_every: int = 0  # 0: only at the end
    evaluate_every: int = 0  # 0: never
    best_by: str | None = None  # the metric whose highest value chooses the checkpoint; None: the last
    log_every: int = 10


@dataclass
class Outcome:
    """What training did: (step, {name: value}) of the log, real tokens seen and seconds taken in this attempt."""

    log: list[dict[str, float]] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    resumed_from: int = 0
    best_step: int | None = None


class EpochBatches(Sampler[list[int]]):
    """Batches of like length whose order and content are keyed by the epoch."""

    def __init__(self, dataset: Dataset[Any], lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.dataset = dataset
        self.inner = LengthBucketedSampler(lengths, batch_size, seed, drop_last=len(lengths) >= batch_size)
        self.batch_size = batch_size
        self.drop_last = False
        self.sampler = self  # where accelerate looks for set_epoch once it has split batches over processes

    def set_epoch(self, epoch: int) -> None:
        self.inner.set_epoch(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.inner)


class _Follow(TrainerCallback):
    """Shows a bar and seals each checkpoint after its last file."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar: Bar | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = Bar(total=state.max_steps, initial=state.global_step, desc=self.description, unit="step")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class StageTrainer(Trainer):
    """Trainer over a module that returns {"loss": ..., further scalars to log}; ``evaluation`` measures it on valid."""

    def __init__(
        self,
        plan: Plan,
        batches: EpochBatches,
        evaluation: Callable[[nn.Module], dict[str, float]] | None,
        **rest: Any,
    ) -> None:
        self.plan = plan
        self.batches = batches
        self.evaluation = evaluation
        self.tokens = 0
        self.parts: dict[str, list[Tensor]] = {}
        super().__init__(**rest)

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        if self.lr_scheduler is None:
            shape = schedule(self.plan.schedule, self.plan.warmup_steps, self.plan.steps)
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, shape)
        return self.lr_scheduler

    def compute_loss(self, model: nn.Module, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        outputs = model(**inputs)
        for name, value in outputs.items():
            if name != "loss" and isinstance(value, Tensor) and value.dim() == 0:
                self.parts.setdefault(name, []).append(value.detach())
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        self.tokens += _real_tokens(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        on_cpu = loss.device.type == "cpu"
        if (on_cpu or self.state.global_step % self.plan.log_every == 0) and not torch.isfinite(loss):
            good = newest_complete(Path(str(self.args.output_dir)))
            raise UserError(
                f"the loss became {loss.item()} at step {self.state.global_step + 1} of {self.plan.steps}; "
                f"last good checkpoint: {good.name if good else 'none'}; lower the learning rate"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for name, values in self.parts.items():
            logs[name] = round(float(torch.stack(values).float().mean()), 6)
        self.parts.clear()
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        metrics = {}
        if self.evaluation is not None:
            model = self.accelerator.unwrap_model(self.model)
            was_training = model.training
            model.eval()
            with torch.no_grad():
                metrics = {f"eval_{name}": value for name, value in self.evaluation(model).items()}
            model.train(was_training)
            self.log(dict(metrics))
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.accelerator.unwrap_model(self.model), str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(model or self.model, Path(resume_from_checkpoint) / WEIGHTS)

    def _load_best_model(self) -> None:
        if self.state.best_model_checkpoint is not None:
            safetensors.torch.load_model(self.model, Path(self.state.best_model_checkpoint) / WEIGHTS)


def _real_tokens(inputs: Any) -> int:
    """Unpadded tokens among all attention masks of a batch, nested dictionaries included."""
    total = 0
    for name, value in inputs.items():
        if isinstance(value, dict):
            total += _real_tokens(value)
        elif name == "attention_mask":
            total += int(value.sum())
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
) -> Outcome:
    """Train ``module`` in place, resuming from the newest complete checkpoint under ``folder``.

    ``lengths`` (n,) are the examples' token counts, by which batches are bucketed. With ``plan.best_by`` the module
    ends with the weights of its best evaluation, otherwise with its last ones. UserError when the loss is not finite.
    """
    if math.ceil(len(lengths) / plan.batch_size) == 0:
        raise UserError(f"{description}: there is nothing to train on")
    if evaluation is None and plan.best_by is not None:
        raise ValueError("choosing the best checkpoint needs an evaluation")
    resume = newest_complete(folder)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder.parent / "tensorboard")
    trainer = StageTrainer(
        plan,
        EpochBatches(dataset, lengths, plan.batch_size, plan.seed),
        evaluation,
        model=module,
        args=_arguments(plan, folder, evaluation is not None),
        train_dataset=dataset,
        eval_dataset=dataset if evaluation is not None else None,
        data_collator=collate,
        callbacks=[_Follow(description)],
    )
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    best = trainer.state.best_global_step if plan.best_by else None
    return Outcome(
        log=[dict(entry) for entry in trainer.state.log_history],
        tokens=trainer.tokens,
        seconds=time.perf_counter() - start,
        resumed_from=int(resume.name.removeprefix("checkpoint-")) if resume else 0,
        best_step=best,
    )


def _arguments(plan: Plan, folder: Path, evaluates: bool) -> TrainingArguments:
    every = plan.evaluate_every if evaluates else 0
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        gradient_accumulation_steps=plan.accumulation,
        learning_rate=plan.learning_rate,
        weight_decay=0.0,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=cuda,
        use_cpu=not cuda,
        seed=plan.seed,
        data_seed=plan.seed,
        logging_steps=plan.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps" if plan.save_every or plan.best_by else "no",
        save_steps=every if plan.best_by else max(1, plan.save_every),
        save_total_limit=2,
        eval_strategy="steps" if every else "no",
        eval_steps=every or None,
        load_best_model_at_end=plan.best_by is not None,
        metric_for_best_model=f"eval_{plan.best_by}" if plan.best_by else None,
        greater_is_better=True if plan.best_by else None,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=["tensorboard"],
        dataloader_num_workers=4 if cuda else 0,
        dataloader_pin_memory=cuda,
        ddp_find_unused_parameters=False,
    )
