"""Training the bi-encoder: Retriever1, Retriever2 and Retriever_distill (Section 3.2)."""

from functools import partial
from typing import Any

from experimaestro import Constant, Param, field

from simlm.scales.settings import RetrieverSettings
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import TeacherScoresOf
from simlm.stages.runs import RunStage


class TrainRetriever(EncoderStage, ComputingStage):
    """Contrastive training on hard negatives; with a ``teacher``, distillation plus ``alpha`` x contrastive.

    Retriever1/2 keep the last checkpoint, the distilled retriever the one with the best MRR on valid.
    """

    version: Constant[int] = field(default=2, overrides=True)  # 2: batches are drawn at random
    data: Param[Prepare]
    start: Param[EncoderStage]
    negatives: Param[RunStage]
    settings: Param[RetrieverSettings]
    teacher: Param[TeacherScoresOf | None] = field(default=None)
    alpha: Param[float]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.retriever import train_retriever

        settings = self.settings
        lists = partial(self.negatives.negative_lists, settings=settings.negatives, seed=settings.optimisation.seed)
        return train_retriever(
            self.data.open(),
            self.start.model,
            lists,
            settings,
            None if self.teacher is None else self.teacher.scores,
            self.alpha,
            self.choices.compute_device(),
            self.half,
            self.work,
            self.folder,
            self.model,
        )
