"""Training the bi-encoder: Retriever1, Retriever2 and Retriever_distill (Section 3.2)."""

from typing import Any

import numpy as np
from experimaestro import Param, field

from simlm.scales.settings import RetrieverSettings
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import TeacherScoresOf
from simlm.stages.runs import RunStage

BUCKETS = 4
"""Pieces of like length in which a batch's passages are encoded on the CPU."""


class TrainRetriever(EncoderStage):
    """Contrastive training on hard negatives; with a ``teacher``, distillation plus ``alpha`` x contrastive.

    Retriever1/2 keep the last checkpoint, the distilled retriever the one with the best MRR on valid.
    """

    shared = True

    data: Param[Prepare]
    start: Param[EncoderStage]
    negatives: Param[RunStage]
    settings: Param[RetrieverSettings]
    teacher: Param[TeacherScoresOf | None] = field(default=None)
    alpha: Param[float]

    def run(self) -> dict[str, Any]:
        import torch

        from simlm.data.inputs import Specials
        from simlm.distributed import even_share, is_first
        from simlm.finetuning.biencoder import BiEncoder
        from simlm.finetuning.datasets import BiEncoderCollator, BiEncoderGroups
        from simlm.finetuning.fit import texts_that_fit
        from simlm.finetuning.teacher import TeacherScores
        from simlm.models.load import load_body
        from simlm.models.save import save_model
        from simlm.stages.negatives import negative_lists
        from simlm.stages.training import PACKED_ON, numbers_of, plan, prepare_torch
        from simlm.training.trainer import train

        device = prepare_torch(self.choices)
        settings, collection = self.settings, self.data.open()
        seed = settings.optimisation.seed
        torch.manual_seed(seed)
        encoder = load_body(self.start.model, collection.tokenizer)
        teacher = None if self.teacher is None else TeacherScores.open(self.teacher.folder / "scores")
        model = BiEncoder(
            encoder,
            settings.temperature,
            alpha=None if teacher is None else self.alpha,
            scale_loss=settings.scale_loss,
            buckets=BUCKETS if device.type == "cpu" else 1,
            chunk=texts_that_fit(encoder.config, settings.passage_length, device),
            rising=settings.rising,
        ).to(device)
        groups = BiEncoderGroups(
            collection,
            "train",
            negative_lists(self.negatives, "train", settings.negatives, seed),
            settings.passages_per_query,
            seed,
            settings.query_length,
            settings.passage_length,
            teacher,
        )
        specials, packed = Specials.of(collection.tokenizer), None
        if device.type in PACKED_ON:
            from simlm.packed.training import packed_retriever

            longest = max(settings.query_length, settings.passage_length)
            packed = packed_retriever(model, specials.pad, longest, device)
        evaluate = None
        if settings.evaluations:
            from simlm.stages.evaluations import RetrieverEvaluation

            evaluate = RetrieverEvaluation.of(self, collection, device, packed is not None)
        # The contrastive loss is over all of a batch: each process encodes its part, once, and all gather the vectors.
        micro_batch = even_share(min(settings.optimisation.batch_size, len(groups)), "queries")
        outcome = train(
            model,
            groups,
            np.zeros(len(groups), dtype=np.int64),  # groups are drawn at random; passages are bucketed in the model
            BiEncoderCollator(specials),
            plan(settings.optimisation, settings.evaluations, "mrr" if evaluate else None, micro_batch),
            self.work,
            "distillation" if teacher else "contrastive",
            evaluate,
            begin=model.begin,
            packed=packed,
        )
        figures = numbers_of(self, outcome)
        figures["epochs"] = settings.optimisation.steps * settings.optimisation.batch_size / len(groups)
        what = f"retriever fine-tuned on {self.data.collection_name}"
        if is_first():
            save_model(encoder.cpu(), collection.tokenizer, self.model, what, figures)
        return figures
