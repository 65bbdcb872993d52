"""The runs that the tables show, each built once from the pipeline's stages."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ablations.starts import STARTS
from baselines.stages import BM25, BM25Index, Fusion
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.scales.settings import varied
from simlm.stages.answers import Answered
from simlm.stages.pipeline import EVALUATED, Pipeline, Submit
from simlm.stages.reranker import TeacherScoresOf, TrainReranker
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage

BM25_DEFAULT = [0.9, 0.4]
"""Anserini's k1 and b, with which the paper's BM25 was run."""

NEGATIVES = ("bm25", "package")
"""Where Retriever1's hard negatives come from: our own BM25's run, or the lists that come with the collection."""


P = ParamSpec("P")
R = TypeVar("R")


def once(method: Callable[Concatenate["Cells", P], R]) -> Callable[Concatenate["Cells", P], R]:
    """A method that builds its stage at the first call and gives the same one afterwards."""

    @wraps(method)
    def built(self: "Cells", *arguments: P.args, **named: P.kwargs) -> R:
        key = (method.__name__, arguments, tuple(sorted(named.items())))
        if key not in self.made:
            self.made[key] = method(self, *arguments, **named)
        found: R = self.made[key]
        return found

    return built


class Cells:
    """Every run that a table can ask for, over one pipeline; asking builds what it stands on."""

    def __init__(self, scale: Scale, seed: int, submit: Submit, negatives: str = "bm25") -> None:
        if negatives not in NEGATIVES:
            raise UserError(f"unknown source of negatives {negatives!r}: choose one of {', '.join(NEGATIVES)}")
        self.negatives = negatives
        self.pipeline = Pipeline(scale, seed, submit)
        self.scale = scale
        self.made: dict[tuple[Any, ...], Any] = {}

    @once
    def bm25(self) -> BM25:
        """BM25 with default parameters; its train run gives Retriever1's negatives."""
        return self._bm25(BM25_DEFAULT, [MINED_SPLIT, *EVALUATED], "BM25")

    @once
    def bm25_tuned(self) -> BM25:
        """BM25 with the (k1, b) that is best on valid."""
        return self._bm25([value for point in self.scale.bm25_grid for value in point], list(EVALUATED), "tuned BM25")

    @once
    def first_negatives(self) -> RunStage:
        """What Retriever1's hard negatives are taken from."""
        if self.negatives == "bm25":
            return self.bm25()
        return self.pipeline.add(PackageLists.C(data=self.pipeline.data), "the package's negatives")

    @once
    def retriever1(self, start: str, rate: float | None = None) -> Retrieve:
        """Runs of a start fine-tuned on the first negatives, maybe at another learning rate; SimLM's are also mined."""
        settings = self.scale.retriever
        name = f"Retriever1 ({start})"
        if rate not in (None, settings.optimisation.learning_rate):
            settings = varied(settings, optimisation=varied(settings.optimisation, learning_rate=rate))
            name = f"{name}, rate {rate:g}"
        trained = self.pipeline.retriever(STARTS[start](self.pipeline), self.first_negatives(), name, settings)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=start == "simlm")

    @once
    def retriever2(self) -> Retrieve:
        """Runs of SimLM fine-tuned on Retriever1's negatives."""
        trained = self.pipeline.retriever(self.pipeline.simlm, self.retriever1("simlm"), "Retriever2")
        return self.pipeline.retrieve(trained, "Retriever2: runs", mine=True)

    @once
    def reranker(self) -> TrainReranker:
        """The cross-encoder trained on Retriever2's candidates."""
        start = self.scale.reranker_start
        if start not in STARTS:
            raise UserError(f"a re-ranker cannot start from {start!r}: choose one of {', '.join(STARTS)}")
        return self.pipeline.reranker(STARTS[start](self.pipeline), self.retriever2())

    @once
    def reranked(self) -> RunStage:
        """Retriever2's test run, its top re-ranked."""
        return self.pipeline.rerank(self.reranker(), self.retriever2())

    @once
    def teacher(self) -> TeacherScoresOf:
        """The re-ranker's scores for the pairs that distillation draws."""
        return self.pipeline.teacher(self.reranker(), self.retriever2())

    @once
    def distilled(self, start: str, alpha: float | None = None) -> Retrieve:
        """Runs of a start distilled with the same negatives, teacher and budget, whatever the start.

        With another ``alpha`` than the scale's, a trial of it.
        """
        name = f"Retriever_distill ({start})"
        if alpha not in (None, self.scale.alpha):
            name = f"{name}, alpha {alpha:g}"
        chosen = self.scale.alpha if alpha is None else alpha
        encoder = STARTS[start](self.pipeline)
        trained = self.pipeline.distilled(encoder, self.retriever2(), self.teacher(), name, chosen)
        return self.pipeline.retrieve(trained, f"{name}: runs")

    @once
    def fusion(self) -> Fusion:
        """The distilled SimLM fused with default BM25."""
        return self.pipeline.add(
            Fusion.C(
                data=self.pipeline.data,
                dense=self.distilled("simlm"),
                lexical=self.bm25(),
                weights=list(self.scale.fusion_grid),
                depth=self.scale.search.evaluation_depth,
            ),
            "fusion",
        )

    @once
    def answered(self, ranked: RunStage, name: str) -> Answered:
        """The test run of ``name`` judged by the answers in its passages (Table 4)."""
        return self.pipeline.answered(ranked, f"{name}: answers")

    def _bm25(self, grid: list[float], splits: list[str], name: str) -> BM25:
        search = self.scale.search
        return self.pipeline.add(
            BM25.C(
                data=self.pipeline.data,
                index=self._index(),
                grid=grid,
                splits=splits,
                depth=search.evaluation_depth,
                mining_depth=search.mining_depth,
            ),
            name,
        )

    @once
    def _index(self) -> BM25Index:
        return self.pipeline.add(BM25Index.C(data=self.pipeline.data), "BM25 index")
