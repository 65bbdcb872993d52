"""Pre-training with an objective (Section 3.1)."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from transformers import ElectraForMaskedLM, PreTrainedModel

from simlm.data.store import TokenisedCollection
from simlm.data.tokenizer import check_tokenizer_matches
from simlm.distributed import is_first, own_device
from simlm.errors import UserError
from simlm.models.load import load_masked_lm
from simlm.models.save import save_model
from simlm.pretraining.corpus_pieces import CorpusPieces
from simlm.pretraining.dataset import EVALUATION_EPOCH, PassageExamples, hold_out
from simlm.pretraining.generator import load_generator
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Objective, ObjectiveConfig, find_objective
from simlm.pretraining.packing import batches_of
from simlm.scales.settings import PretrainingSettings
from simlm.training.batches import MicroBatches, Packs, Split, losses_of
from simlm.training.callbacks import Snapshots, snapshot_in
from simlm.training.plan import Plan
from simlm.training.trainer import train

EVALUATION_BATCH = 64
SNAPSHOTS = "snapshots"
"""The folder of the encoder's weights on the way, beside the model."""


def pretrain(
    collection: TokenisedCollection,
    start: Path,
    generator: Path | None,
    objective: str,
    settings: PretrainingSettings,
    kept: Collection[int],
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
    model: Path,
) -> dict[str, Any]:
    """Pre-train an encoder further, and save it and its weights on the way; return the figures.

    Args:
        collection: the passages.
        start: the folder of the encoder that it starts from.
        generator: the folder of the generator, for objectives that need one.
        objective: a name that `find_objective` knows.
        settings: Table 11's column.
        kept: the updates after which the encoder's weights are kept too.
        device_kind: "cpu" or "cuda".
        half: whether products are computed in bfloat16.
        work: where an unfinished training resumes from.
        output: where the log and the folder ``SNAPSHOTS`` are left.
        model: the folder that the encoder is saved in.
    """
    tokenizer = collection.tokenizer
    encoder = load_masked_lm(start, tokenizer)
    electra = None
    if generator is not None:
        electra = load_generator(generator, settings.generator_epsilon)
        check_tokenizer_matches(tokenizer, electra.config, generator)
    pieces = CorpusPieces.of(collection, settings.corpus_pieces)
    with pieces.only_in(*[encoder] if electra is None else [encoder, electra]):
        figures = _pretrain(
            collection, pieces, encoder, electra, objective, settings, kept, device_kind, half, work, output
        )
    if is_first():
        save_model(encoder, tokenizer, model, f"pre-training objective {objective}", figures)
    return figures | {"word_losses": list(find_objective(objective).word_losses)}


def _pretrain(
    collection: TokenisedCollection,
    chosen: CorpusPieces,
    encoder: PreTrainedModel,
    generator: ElectraForMaskedLM | None,
    objective_name: str,
    settings: PretrainingSettings,
    kept: Collection[int],
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
) -> dict[str, Any]:
    """Pre-train ``encoder`` in place; return the figures, with the loss on held-out passages.

    Both models have only the ``chosen`` pieces.
    """
    device = own_device(device_kind)
    optimisation = settings.optimisation
    whole = WordPieces.of(collection.tokenizer)
    pieces = chosen.words(whole)
    config = ObjectiveConfig(
        settings.encoder_rate, settings.decoder_rate, settings.generator_dropout, optimisation.seed
    )
    torch.manual_seed(optimisation.seed)
    objective = find_objective(objective_name).build(encoder, generator, pieces, config).to(device)
    train_on, held_out = hold_out(len(collection.passages), settings.held_out, optimisation.seed)

    def examples(indices: NDArray[np.int64], epoch: int = 0) -> PassageExamples:
        return PassageExamples(collection.passages, indices, whole.specials, settings.max_length, chosen.numbers, epoch)

    snapshots = Snapshots(encoder, kept, work / SNAPSHOTS)
    batches = batches_of(objective, settings.max_length, device)
    outcome = train(
        objective,
        examples(train_on),
        batches,
        Plan.of(optimisation, half, settings.micro_batch),
        work,
        objective_name,
        snapshots=snapshots,
    )
    if kept and is_first():
        snapshots.copy_to(output / SNAPSHOTS)
    unseen = examples(held_out, EVALUATION_EPOCH)
    figures = outcome.leave(output) | {"held_out_loss": held_out_loss(objective, unseen, batches, device, half)}
    encoder.cpu()
    return figures


@torch.no_grad()
def held_out_loss(
    objective: Objective, examples: PassageExamples, batches: MicroBatches | Packs, device: torch.device, half: bool
) -> float | None:
    """Return the mean loss over batches of held-out passages, in evaluation mode; None when there are none."""
    objective.eval()
    losses = []
    for start in range(0, len(examples), EVALUATION_BATCH):
        rows = [examples[i] for i in range(start, min(start + EVALUATION_BATCH, len(examples)))]
        parts = batches.update(rows, Split(len(rows))).parts
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            losses.append(sum(float(losses_of(objective, _moved(part, device))["loss"]) for part in parts))
    return sum(losses) / len(losses) if losses else None


def _moved(part: Any, device: torch.device) -> Any:
    return {name: tensor.to(device) for name, tensor in part.items()} if isinstance(part, dict) else part.to(device)


def keep_snapshot(
    collection: TokenisedCollection,
    pretrained: Path,
    output: Path,
    step: int,
    corpus_pieces: bool,
    what: str,
    model: Path,
) -> dict[str, Any]:
    """Save an encoder as it was during its pre-training; return the figures.

    Args:
        collection: what it was pre-trained on.
        pretrained: the folder of the finished encoder.
        output: where the pre-training left its folder ``SNAPSHOTS``.
        step: after how many updates.
        corpus_pieces: whether it had only the corpus's pieces.
        what: the model's description for readers.
        model: the folder that it is saved in.

    Raises:
        UserError: if the weights after ``step`` updates were not kept.
    """
    weights = snapshot_in(output / SNAPSHOTS, step)
    if not weights.is_file():
        raise UserError(
            f"{output.parent}: this pre-training did not keep its encoder after {step} updates, an older version "
            "made it; delete that folder and run the command again"
        )
    encoder = load_masked_lm(pretrained, collection.tokenizer)
    with CorpusPieces.of(collection, corpus_pieces).only_in(encoder):
        safetensors.torch.load_model(encoder, weights)
    save_model(encoder, collection.tokenizer, model, what, {})
    return {"step": step}
