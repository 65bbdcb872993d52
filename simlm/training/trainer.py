"""One way to train every stage: from the newest checkpoint to the last update, or to the best one."""

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
from torch import nn
from torch.utils.data import Dataset
from transformers import TrainerState

from simlm.distributed import processes, rank, summed
from simlm.errors import UserError
from simlm.training.batches import EpochBatches, PacksCollator, PartsCollator
from simlm.training.callbacks import Begin, Follow, LogAtCheckpoints
from simlm.training.checkpoints import STATE, WEIGHTS, checkpoint_of, newest_complete, step_of
from simlm.training.plan import Plan, arguments
from simlm.training.snapshots import Snapshots
from simlm.training.stage_trainer import StageTrainer


@dataclass(frozen=True)
class Packed:
    """How a module's losses are computed without padding.

    ``model`` computes them with the module's own weights, of one pack ``part`` at a time. ``collate`` cuts examples
    into packs whose losses, added up, are the mean over their micro-batches of so many examples.
    """

    model: nn.Module
    collate: Callable[[Sequence[Any], int], Sequence[Any]]


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
    packed: Packed | None = None,
    begin: Callable[[int], None] | None = None,
) -> Outcome:
    """Train ``module`` in place, on the device it is on, resuming from the newest complete checkpoint under ``folder``.

    ``begin`` is called before each update with the number of those that are done, resumed ones included.
    With ``packed`` its losses are computed without padding; checkpoints are the same, so that either resumes both.

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
        batches = EpochBatches(dataset, lengths, plan.batch_size, plan.seed, plan.micro_batch, processes(), rank())
        split = batches.split
        trainer = StageTrainer(
            plan,
            module,
            batches,
            PartsCollator(collate, split) if packed is None else PacksCollator(packed.collate, split),
            evaluation,
            description,
            module if packed is None else packed.model,
            args=arguments(plan, folder, evaluation is not None, next(module.parameters()).device),
            eval_dataset=dataset if evaluation is not None else None,
            callbacks=[
                Follow(description),
                LogAtCheckpoints(),
                *([] if snapshots is None else [snapshots]),
                *([] if begin is None else [Begin(begin)]),
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
    """Train to the end, from a checkpoint where there is one; the state then, and the tokens of all processes."""
    if rank():
        # Processes draw their dropout from different streams; the first draws what it would alone.
        torch.manual_seed(trainer.plan.seed + 1_000_003 * rank())
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.check_losses()
    trainer.check_weights()
    # From here on the module computes in its own precision, also where the Trainer put autocast around it.
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return trainer.state, int(summed(torch.tensor(trainer.tokens, device=trainer.args.device)))
