"""The runs that the tables show: an ablation's cells, and what the whole pipeline makes of them."""

from ablations.cells import AblationCells, once
from ablations.starts import STARTS
from baselines.stages import BM25, Fusion
from simlm.errors import UserError
from simlm.stages.pipeline import EVALUATED
from simlm.stages.reranker import TeacherScoresOf, TrainReranker
from simlm.stages.runs import Retrieve, RunStage


class Cells(AblationCells):
    """Every run that a table can ask for, over one pipeline; asking builds what it stands on."""

    @once
    def bm25_tuned(self) -> BM25:
        """BM25 with the (k1, b) that is best on valid."""
        return self.bm25_of([value for point in self.scale.bm25_grid for value in point], list(EVALUATED), "tuned BM25")

    @once
    def retriever2(self, start: str = "simlm") -> Retrieve:
        """Runs of one of ``STAGED`` fine-tuned on the negatives of its own Retriever1."""
        name = _named("Retriever2", start)
        trained = self.pipeline.retriever(STARTS[start](self.pipeline), self.retriever1(start), name)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=True)

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
        encoder = STARTS[start](self.pipeline)
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


def _named(stage: str, start: str) -> str:
    """A stage's name: SimLM's has it alone."""
    return stage if start == "simlm" else f"{stage} ({start})"
