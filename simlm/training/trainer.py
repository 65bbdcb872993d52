"""One way to train every stage: from the newest checkpoint to the last update or to the best evaluation."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import TrainerState

from simlm.distributed import is_first, processes, rank, summed, wait_for_all
from simlm.errors import UserError
from simlm.training.batches import EpochBatches, MicroBatches, Packs
from simlm.training.callbacks import BeforeUpdate, LogAtCheckpoints, ProgressBar, Snapshots
from simlm.training.checkpoints import STATE, WEIGHTS, checkpoint_of, newest, newest_complete, step_of
from simlm.training.plan import Plan, training_arguments
from simlm.training.stage_trainer import StageTrainer


@dataclass
class Outcome:
    """What a training did.

    Attributes:
        log: the entries of the log, of all attempts.
        tokens: real tokens that all processes read in this attempt.
        seconds: seconds of this attempt.
        resumed_from: the step of the checkpoint that this attempt began with; 0 for none.
        best_step: the step of the best evaluation, whose weights the module has; None if the last weights are kept.
    """

    log: list[dict[str, float]] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    resumed_from: int = 0
    best_step: int | None = None

    def leave(self, folder: Path) -> dict[str, Any]:
        """Write the log as ``losses.json`` into a folder, and return the figures of the training."""
        # The Trainer's summary times this attempt, and a state read back from a checkpoint has its names in another
        # order: without these the same training leaves the same bytes.
        log = [entry for entry in self.log if "train_runtime" not in entry]
        if is_first():
            (folder / "losses.json").write_text(json.dumps(log, indent=0, sort_keys=True), encoding="utf-8")
        losses = [entry["loss"] for entry in self.log if "loss" in entry]
        return {
            "tokens": self.tokens,
            "training_seconds": self.seconds,
            "tokens_per_second": self.tokens / self.seconds if self.tokens else None,
            "resumed_from_step": self.resumed_from,
            "best_step": self.best_step,
            "first_loss": losses[0] if losses else None,
            "last_loss": losses[-1] if losses else None,
        }


def train(
    module: nn.Module,
    dataset: Dataset[Any],
    collate: MicroBatches | Packs,
    plan: Plan,
    folder: Path,
    description: str,
    evaluation: Callable[[nn.Module], dict[str, float]] | None = None,
    snapshots: Snapshots | None = None,
    before_update: Callable[[int], None] | None = None,
) -> Outcome:
    """Train ``module`` in place, on the device it is on, from the newest complete checkpoint in ``folder`` if any.

    Args:
        module: returns {"loss": ..., further scalars to log}.
        dataset: the examples.
        collate: how the examples of a batch become what the module is given. Checkpoints do not depend on the layout of
            batches: a training may resume with another.
        plan: how long and how fast. With ``plan.best_by`` the module ends with the weights of its best evaluation,
            otherwise with its last ones.
        folder: where checkpoints are.
        description: the training's name for readers.
        evaluation: measures the module on valid.
        snapshots: all are there when training ends.
        before_update: called before each update with the number of updates that are done, also by earlier attempts.

    Raises:
        UserError: if there is nothing to train on, or if a loss or a weight is not finite.
    """
    if len(dataset) == 0:  # type: ignore[arg-type] # torch's Dataset names no __len__
        raise UserError(f"{description}: there is nothing to train on; give a collection with more texts")
    if plan.best_by is not None and (evaluation is None or plan.evaluate_every == 0):
        raise ValueError("choosing the best checkpoint needs an evaluation and how often to do it")
    start = time.perf_counter()
    if is_first():
        newest_complete(folder, snapshots.reach if snapshots else lambda step: True)
    wait_for_all()  # until what cannot be resumed from is gone
    resume = newest(folder)
    resumed_from = step_of(resume) if resume is not None else 0
    if resume is not None and resumed_from >= plan.steps:
        # The Trainer would make one more update, and then stop.
        module.train()
        safetensors.torch.load_model(module, resume / WEIGHTS)
        state, tokens = TrainerState.load_from_json(str(resume / STATE)), 0
    else:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder.parent / "tensorboard")
        shares = plan.micro_batch, processes(), rank(), plan.keep_last
        batches = EpochBatches(dataset, plan.batch_size, plan.seed, *shares)
        trainer = StageTrainer(
            plan,
            module,
            batches,
            collate,
            evaluation,
            description,
            args=training_arguments(plan, folder, evaluation is not None, next(module.parameters()).device),
            eval_dataset=dataset if evaluation is not None else None,
            callbacks=[
                ProgressBar(description),
                LogAtCheckpoints(),
                *([] if snapshots is None else [snapshots]),
                *([] if before_update is None else [BeforeUpdate(before_update)]),
            ],
        )
        state, tokens = _trained(trainer, resume)
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


def _trained(trainer: StageTrainer, resume: Path | None) -> tuple[TrainerState, int]:
    """Train to the end, from a checkpoint if there is one; return the final state and the tokens of all processes."""
    if rank():
        # Processes draw their dropout from different streams; the first draws what it would alone.
        torch.manual_seed(trainer.plan.seed + 1_000_003 * rank())
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.check_losses()
    trainer.check_weights()
    # From here on the module computes in its own precision, also where the Trainer put autocast around it.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return trainer.state, int(summed(torch.tensor(trainer.tokens, device=trainer.args.device)))
