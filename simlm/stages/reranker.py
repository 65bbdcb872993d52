"""The cross-encoder re-ranker, its teacher scores, and re-ranked runs (Section 3.2)."""

from functools import partial
from pathlib import Path
from typing import Any

from experimaestro import Constant, Param, field

from simlm.scales.settings import NegativesSettings, RerankerSettings
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.runs import MINED_SPLIT, RunStage


class TrainReranker(EncoderStage, ComputingStage):
    """Listwise training with R-Drop on the candidates of a retriever; keeps the best top-1 accuracy on valid."""

    version: Constant[int] = field(default=2, overrides=True)  # 2: batches are drawn at random
    start: Param[EncoderStage]
    candidates: Param[RunStage]
    settings: Param[RerankerSettings]
    data: Param[Prepare | None] = field(default=None, ignore_default=True)
    """The collection in the pieces that ``start`` reads; None where these are the candidates'."""

    @property
    def tokenised(self) -> Prepare:
        """The collection in the pieces that the re-ranker reads; its passages stand in the candidates' order."""
        return self.data or self.candidates.data

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.reranker import train_reranker

        settings = self.settings
        lists = partial(self.candidates.negative_lists, settings=settings.negatives, seed=settings.optimisation.seed)
        return train_reranker(
            self.tokenised.open(),
            self.start.model,
            lists,
            self.candidates.retrieved.load("valid"),
            settings,
            self.choices.compute_device(),
            self.half,
            self.work,
            self.folder,
            self.model,
        )


class TeacherScoresOf(ComputingStage):
    """The re-ranker's raw logits for the pairs that distillation's windows will draw, and for no others."""

    reranker: Param[TrainReranker]
    negatives: Param[RunStage]
    lists: Param[NegativesSettings]
    passages_per_query: Param[int]
    steps: Param[int]
    batch_size: Param[int]
    keep_last: Param[bool] = field(default=False, ignore_default=True)
    seed: Param[int]
    max_length: Param[int]

    @property
    def scores(self) -> Path:
        """The folder of the scores."""
        return self.folder / "scores"

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.reranker import score_for_teaching

        return score_for_teaching(
            self.reranker.tokenised.open(),
            self.reranker.model,
            self.negatives.negative_lists(MINED_SPLIT, self.lists, self.seed),
            MINED_SPLIT,
            steps=self.steps,
            batch_size=self.batch_size,
            keep_last=self.keep_last,
            seed=self.seed,
            passages_per_query=self.passages_per_query,
            max_length=self.max_length,
            device_kind=self.choices.compute_device(),
            half=self.half,
            work=self.work,
            output=self.scores,
        )


class Rerank(RunStage, ComputingStage):
    """The top ``depth`` of a run re-scored by a re-ranker, ours or a published one, the rest of the run behind them."""

    reranker: Param[EncoderStage]
    candidates: Param[RunStage]
    splits: Param[list[str]]
    depth: Param[int]
    max_length: Param[int]

    tag = "re-ranked"

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.reranker import rerank_splits

        return rerank_splits(
            self.data.open(),
            self.reranker.model,
            self.candidates.load,
            self.splits,
            self.depth,
            self.max_length,
            self.choices.compute_device(),
            self.half,
            self.leave,
        )
