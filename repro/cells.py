"""The runs that the tables show, each built once from the pipeline's stages."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ablations.starts import BYTE_LEVEL, STARTS, collection_of
from baselines.stages import BM25, BM25Index, Fusion
from simlm.errors import UserError
from simlm.scales import Scale
from simlm.scales.settings import varied
from simlm.stages.models import EncoderStage
from simlm.stages.pipeline import EVALUATED, Pipeline, Submit
from simlm.stages.reranker import TeacherScoresOf, TrainReranker
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage

BM25_DEFAULT = [0.9, 0.4]
"""Anserini's k1 and b, with which the paper's BM25 was run."""

NEGATIVES = ("bm25", "package")
"""Where Retriever1's hard negatives come from: our own BM25's run, or the lists that come with the collection."""

STAGED = ("simlm", "cocondenser")
"""The starts that go through every stage (Tables 2 and 6): their Retriever1 is also searched with train queries."""

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
        """Runs of a start fine-tuned on the first negatives, maybe at another rate; mined too for ``STAGED``."""
        settings = self.scale.retriever
        name = f"Retriever1 ({start})"
        if rate not in (None, settings.optimisation.learning_rate):
            settings = varied(settings, optimisation=varied(settings.optimisation, learning_rate=rate))
            name = f"{name}, rate {rate:g}"
        encoder, data = STARTS[start](self.pipeline), collection_of(start, self.pipeline)
        trained = self.pipeline.retriever(encoder, self.first_negatives(), name, settings, data)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=start in STAGED)

    @once
    def retriever2(self, start: str = "simlm") -> Retrieve:
        """Runs of one of ``STAGED`` fine-tuned on the negatives of its own Retriever1."""
        name = _named("Retriever2", start)
        trained = self.pipeline.retriever(self._encoder(start), self.retriever1(start), name)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=True)

    @once
    def reranker(self, start: str | None = None) -> TrainReranker:
        """The cross-encoder trained on Retriever2's candidates, from a start or the scale's own."""
        start = start or self.scale.reranker_start
        known = [name for name in STARTS if name not in BYTE_LEVEL]
        if start not in known:
            raise UserError(f"a re-ranker cannot start from {start!r}: choose one of {', '.join(known)}")
        name = _named("re-ranker", start, self.scale.reranker_start)
        return self.pipeline.reranker(self._encoder(start), self.retriever2(), name)

    @once
    def reranked(self, start: str | None = None) -> RunStage:
        """Retriever2's test run, its top re-ranked by the re-ranker from a start or the scale's own."""
        own = self.scale.reranker_start
        name = _named("re-ranked run", start or own, own)
        return self.pipeline.rerank(self.reranker(start), self.retriever2(), name)

    @once
    def teacher(self, miner: str = "simlm") -> TeacherScoresOf:
        """The re-ranker's scores for the pairs that distillation draws from the negatives of ``miner``'s Retriever2.

        There is one re-ranker whatever the miner, as Table 6 has one: it was trained on SimLM's candidates.
        """
        return self.pipeline.teacher(self.reranker(), self.retriever2(miner), _named("teacher scores", miner))

    @once
    def distilled(self, start: str, alpha: float | None = None, miner: str = "simlm") -> Retrieve:
        """Runs of a start distilled with the negatives of ``miner``'s Retriever2, with one teacher and budget for all.

        With another ``alpha`` than the scale's, a trial of it.
        """
        name = f"Retriever_distill ({start})"
        if miner != "simlm":
            name = f"{name}, {miner}'s negatives"
        if alpha not in (None, self.scale.alpha):
            name = f"{name}, alpha {alpha:g}"
        chosen = self.scale.alpha if alpha is None else alpha
        encoder = self._encoder(start)
        trained = self.pipeline.distilled(encoder, self.retriever2(miner), self.teacher(miner), name, chosen)
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

    def _encoder(self, start: str) -> EncoderStage:
        """A start for the later stages, which read the scale's own pieces only."""
        if start in BYTE_LEVEL:
            raise ValueError(f"{start} reads other pieces than the scale's: it has a Retriever1 only")
        return STARTS[start](self.pipeline)

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


def _named(stage: str, start: str, own: str = "simlm") -> str:
    """A stage's name, with its start in brackets unless that is the table's own."""
    return stage if start == own else f"{stage} ({start})"
