"""Training the bi-encoder (Section 3.2): Retriever1, Retriever2 and Retriever_distill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from simlm.data.inputs import Specials
from simlm.data.store import TokenisedCollection
from simlm.distributed import even_share, is_first, own_device
from simlm.finetuning.biencoder import BiEncoder, BiEncoderCollator
from simlm.finetuning.datasets import BiEncoderGroups
from simlm.finetuning.evaluations import RetrieverEvaluation
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.teacher import TeacherScores
from simlm.models.load import load_body
from simlm.models.save import save_model
from simlm.packed.layouts import inference_layout, pieces_on, training_layout
from simlm.scales.settings import RetrieverSettings
from simlm.training.batches import MicroBatches
from simlm.training.plan import Plan
from simlm.training.trainer import train


def train_retriever(
    collection: TokenisedCollection,
    start: Path,
    lists: Callable[[str], NegativeLists],
    settings: RetrieverSettings,
    teacher: Path | None,
    alpha: float,
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
    model: Path,
) -> dict[str, Any]:
    """Train a bi-encoder on hard negatives and save its encoder; return the figures.

    Args:
        collection: the passages and queries.
        start: the folder of the encoder that it starts from.
        lists: returns the positives and negatives of a split.
        settings: Table 13's column.
        teacher: the folder of teacher scores, for distillation; the best evaluation is kept then, if there are any.
        alpha: the weight of the contrastive loss beside distillation.
        device_kind: "cpu" or "cuda".
        half: whether products are computed in bfloat16.
        work: where an unfinished training resumes from.
        output: where the log is left.
        model: the folder that the encoder is saved in.
    """
    device = own_device(device_kind)
    seed = settings.optimisation.seed
    torch.manual_seed(seed)
    encoder = load_body(start, collection.tokenizer)
    scores = None if teacher is None else TeacherScores.open(teacher)
    retriever = BiEncoder(
        encoder,
        settings.temperature,
        alpha=None if scores is None else alpha,
        scale_loss=settings.scale_loss,
        temperature_warmup=settings.rising,
    ).to(device)

    def groups_of(split: str, own: NegativeLists, teacher: TeacherScores | None = None) -> BiEncoderGroups:
        lengths = settings.query_length, settings.passage_length
        return BiEncoderGroups(collection, split, own, settings.passages_per_query, seed, *lengths, teacher)

    groups = groups_of("train", lists("train"), scores)
    specials = Specials.of(collection.tokenizer)
    longest = max(settings.query_length, settings.passage_length)
    layout = training_layout(retriever, encoder, specials, longest, device)
    evaluation = None
    if settings.evaluations:
        subset = groups_of("valid", lists("valid").first(settings.evaluation_queries))
        unseen = inference_layout(encoder, specials, longest, device, pieces_on(device))
        evaluation = RetrieverEvaluation(subset, unseen, device, half)
    # The contrastive loss is over all of a batch: each process encodes its part, once, and all gather the vectors.
    micro_batch = even_share(min(settings.optimisation.batch_size, len(groups)), "queries")
    outcome = train(
        retriever,
        groups,
        MicroBatches(BiEncoderCollator(layout)),
        Plan.of(settings.optimisation, half, micro_batch, settings.evaluations, "mrr" if evaluation else None),
        work,
        "distillation" if scores else "contrastive",
        evaluation,
        before_update=retriever.begin_update,
    )
    figures = outcome.leave(output)
    figures["epochs"] = settings.optimisation.steps * settings.optimisation.batch_size / len(groups)
    if is_first():
        what = f"retriever fine-tuned on {collection.meta['name']}"
        save_model(encoder.cpu(), collection.tokenizer, model, what, figures)
    return figures
