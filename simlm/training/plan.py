"""How a stage is trained, and what that means to transformers' Trainer."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments

GPU_WORKERS = 4


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train (Tables 11 and 13). Counts are updates.

    ``batch_size`` is that of all processes together; its micro-batches of ``micro_batch`` examples, 0 for the whole
    batch, are averaged (`simlm.training.split`).
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    seed: int
    schedule: str = "linear"
    micro_batch: int = 0
    save_every: int = 0  # 0: no checkpoints
    evaluate_every: int = 0  # 0: never; otherwise also after the last update
    best_by: str | None = (
        None  # the metric whose highest value chooses the checkpoint (one an evaluation); None: the last
    )
    log_every: int = 10


def arguments(plan: Plan, folder: Path, evaluates: bool, device: torch.device) -> TrainingArguments:
    """AdamW with betas 0.9 and 0.999, epsilon 1e-8, no weight decay, gradients clipped at 1 (METHOD of every stage)."""
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
        bf16=on_gpu,
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
