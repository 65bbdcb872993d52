"""What training stages have in common: plans from settings, evaluation on valid, numbers for the report."""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from transformers import ElectraForMaskedLM, PreTrainedModel

from simlm.data.inputs import Specials
from simlm.distributed import is_first, local_processes, local_rank, processes
from simlm.pretraining.dataset import EVALUATION_EPOCH, PassageExamples, hold_out
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Objective, ObjectiveConfig, find_objective
from simlm.scales.settings import Optimisation, PretrainingSettings
from simlm.stages.models import SNAPSHOTS
from simlm.training.snapshots import Snapshots
from simlm.training.trainer import Outcome, Packed, Plan, train
from simlm.workflow.resources import Choices, cores

if TYPE_CHECKING:
    from simlm.stages.data import Prepare
    from simlm.workflow.stage import Stage

PACKED_ON = frozenset({"cuda"})
"""Devices on which there is no padding, where there is a packed form; elsewhere batches are padded by length."""
SAVES = 4
EVALUATION_BATCH = 64


def prepare_torch(choices: Choices) -> torch.device:
    """Set the threads of this process of a stage, and return its device."""
    torch.set_num_threads(max(1, cores() // local_processes()))
    device = choices.compute_device()
    return torch.device(device, local_rank()) if device == "cuda" and processes() > 1 else torch.device(device)


def plan(optimisation: Optimisation, evaluations: int = 0, best_by: str | None = None, micro_batch: int = 0) -> Plan:
    """A plan that saves ``SAVES`` times, or at each of its evaluations when the best of them is kept."""
    every = max(1, -(-optimisation.steps // evaluations)) if evaluations else 0
    return Plan(
        steps=optimisation.steps,
        batch_size=optimisation.batch_size,
        micro_batch=micro_batch,
        learning_rate=optimisation.learning_rate,
        warmup_steps=optimisation.warmup_steps,
        schedule=optimisation.schedule,
        seed=optimisation.seed,
        save_every=max(1, -(-optimisation.steps // SAVES)),
        evaluate_every=every,
        best_by=best_by,
        log_every=max(1, optimisation.steps // 50),
    )


def numbers_of(stage: "Stage", outcome: Outcome) -> dict[str, Any]:
    """Figures of a training for the manifest; the log is left beside the model as losses.json."""
    # The Trainer's summary times this attempt, and a state read back from a checkpoint has its names in another order:
    # without these the same training leaves the same bytes.
    log = [entry for entry in outcome.log if "train_runtime" not in entry]
    if is_first():
        (stage.folder / "losses.json").write_text(json.dumps(log, indent=0, sort_keys=True), encoding="utf-8")
    losses = [entry["loss"] for entry in outcome.log if "loss" in entry]
    return {
        "tokens": outcome.tokens,
        "training_seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens / outcome.seconds if outcome.tokens else None,
        "resumed_from_step": outcome.resumed_from,
        "best_step": outcome.best_step,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
    }


def run_pretraining(
    stage: "Stage",
    data: "Prepare",
    encoder: PreTrainedModel,
    generator: ElectraForMaskedLM | None,
    objective_name: str,
    settings: PretrainingSettings,
    kept: Collection[int] = (),
) -> dict[str, Any]:
    """Pre-train ``encoder`` in place; figures with the loss on held-out passages.

    Its weights after each of the updates ``kept`` are left in the folder ``SNAPSHOTS`` of the stage's output.
    """
    device = prepare_torch(stage.choices)
    collection = data.open()
    optimisation = settings.optimisation
    pieces = WordPieces.of(collection.tokenizer)
    config = ObjectiveConfig(
        settings.encoder_rate, settings.decoder_rate, settings.generator_dropout, optimisation.seed
    )
    torch.manual_seed(optimisation.seed)
    objective = find_objective(objective_name).build(encoder, generator, pieces, config).to(device)
    train_on, held_out = hold_out(len(collection.passages), settings.held_out, optimisation.seed)
    dataset = PassageExamples(collection.passages, train_on, pieces.specials, settings.max_length)
    snapshots = Snapshots(encoder, kept, stage.work / SNAPSHOTS)
    packed = None
    if device.type in PACKED_ON:
        from simlm.packed.training import packed_objective

        packed = packed_objective(objective, settings.max_length, device)
    outcome = train(
        objective,
        dataset,
        dataset.lengths,
        objective.collator,
        plan(optimisation, micro_batch=settings.micro_batch),
        stage.work,
        objective_name,
        snapshots=snapshots,
        packed=packed,
    )
    if kept and is_first():
        snapshots.copy_to(stage.folder / SNAPSHOTS)
    unseen = PassageExamples(
        collection.passages, held_out, Specials.of(collection.tokenizer), settings.max_length, EVALUATION_EPOCH
    )
    figures = numbers_of(stage, outcome) | {"held_out_loss": held_out_loss(objective, unseen, device, packed)}
    encoder.cpu()
    return figures


@torch.no_grad()
def held_out_loss(
    objective: Objective, examples: PassageExamples, device: torch.device, packed: Packed | None = None
) -> float | None:
    """Mean loss over batches of held-out passages, in evaluation mode; None when there are none."""
    objective.eval()
    losses = []
    for start in range(0, len(examples), EVALUATION_BATCH):
        rows = [examples[i] for i in range(start, min(start + EVALUATION_BATCH, len(examples)))]
        if packed is None:
            batch = {name: tensor.to(device) for name, tensor in objective.collator(rows).items()}
            losses.append(float(objective(**batch)["loss"]))
        else:
            # In the precision that its layers are compiled for.
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                parts = packed.collate(rows, len(rows))
                losses.append(sum(float(packed.model(part.to(device))["loss"]) for part in parts))
    return sum(losses) / len(losses) if losses else None
