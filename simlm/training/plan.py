"""How a stage is trained (Tables 11 and 13): length, learning rate and its schedule, evaluations and checkpoints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments

from simlm.errors import UserError
from simlm.scales.settings import Optimisation

GPU_WORKERS = 4
SAVES = 4
"""Checkpoints of a training that is not evaluated."""
LOG_ENTRIES = 50


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train. Counts are updates.

    Attributes:
        batch_size: examples of an update, of all processes together.
        micro_batch: examples of a micro-batch, 0 for the whole batch; micro-batches are averaged
            (`simlm.training.batches.Split`).
        keep_last: whether an epoch ends with the examples that are fewer than a batch (`simlm.training.batches`).
        half: whether products are computed in bfloat16, under autocast.
        schedule: a name that `schedule` knows.
        save_every: 0 for no checkpoints.
        evaluate_every: 0 for no evaluations; otherwise there is also one after the last update.
        best_by: the metric whose highest value chooses the checkpoint that is kept; None keeps the last.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    seed: int
    schedule: str = "linear"
    micro_batch: int = 0
    keep_last: bool = False
    half: bool = False
    save_every: int = 0
    evaluate_every: int = 0
    best_by: str | None = None
    log_every: int = 10

    @classmethod
    def of(
        cls,
        optimisation: Optimisation,
        half: bool,
        micro_batch: int = 0,
        evaluations: int = 0,
        best_by: str | None = None,
    ) -> "Plan":
        """Return the plan of a scale's settings, with ``evaluations`` spread evenly over the steps."""
        return cls(
            steps=optimisation.steps,
            batch_size=optimisation.batch_size,
            micro_batch=micro_batch,
            keep_last=optimisation.keep_last,
            half=half,
            learning_rate=optimisation.learning_rate,
            warmup_steps=optimisation.warmup_steps,
            schedule=optimisation.schedule,
            seed=optimisation.seed,
            save_every=max(1, -(-optimisation.steps // SAVES)),
            evaluate_every=max(1, -(-optimisation.steps // evaluations)) if evaluations else 0,
            best_by=best_by,
            log_every=max(1, optimisation.steps // LOG_ENTRIES),
        )


def schedule(kind: str, warmup: int, steps: int) -> Callable[[int], float]:
    """Return the share of the peak learning rate at an update, as a function of the number of updates before it.

    Args:
        kind: "linear" grows linearly over ``warmup`` updates and then falls linearly to 0. "log" is what DeepSpeed's
            default did to the released runs: update 1 at the peak, update k >= 2 with i = k - 2 at
            ln(i + 1) / ln(warmup) while i < warmup, then (steps - i) / (steps - warmup).
        warmup: updates of the warm-up.
        steps: all updates.

    Raises:
        UserError: for another kind, or a warm-up that is not shorter than the training.
    """
    if kind not in ("linear", "log"):
        raise UserError(f"unknown learning-rate schedule {kind!r}: choose one of linear, log")
    if not 0 <= warmup < steps:
        raise UserError(f"warm-up of {warmup} updates in {steps} steps: warm-up must be shorter than training")

    def linear(done: int) -> float:
        if done < warmup:
            return done / max(1, warmup)
        return max(0.0, (steps - done) / (steps - warmup))

    def log(done: int) -> float:
        if done == 0:
            return 1.0
        i = done - 1
        if i < warmup:
            return math.log(i + 1) / math.log(warmup) if warmup > 1 else 1.0
        return max(0.0, (steps - i) / (steps - warmup))

    return linear if kind == "linear" else log


def training_arguments(plan: Plan, folder: Path, evaluates: bool, device: torch.device) -> TrainingArguments:
    """Return what a plan means to transformers' Trainer.

    AdamW with betas 0.9 and 0.999, epsilon 1e-8, no weight decay, gradients clipped at 1, as in every stage of the
    released code.
    """
    every = plan.evaluate_every if evaluates else 0
    on_gpu = device.type == "cuda"
    made = TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        weight_decay=0.0,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=plan.half,
        use_cpu=not on_gpu,
        seed=plan.seed,
        data_seed=plan.seed,
        logging_steps=plan.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps" if plan.save_every or plan.best_by else "no",
        save_steps=every if plan.best_by else max(1, plan.save_every),
        save_total_limit=2,
        eval_strategy="steps" if every else "no",
        eval_steps=every or None,
        metric_for_best_model=f"eval_{plan.best_by}" if plan.best_by else None,
        greater_is_better=True if plan.best_by else None,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=["tensorboard"],
        dataloader_num_workers=GPU_WORKERS if on_gpu else 0,
        dataloader_pin_memory=on_gpu,
    )
    if made.n_gpu > 1:
        # One device a process: the Trainer would otherwise cut a batch by rows, and ``targets`` has none.
        made._n_gpu = 1
    return made
