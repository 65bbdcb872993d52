"""The runs that the tables show: an ablation's cells, and what the whole pipeline makes of them."""

from ablations.retriever1_runs import Retriever1Runs, once
from ablations.starts import BYTE_LEVEL, STARTS
from baselines.stages import BM25, Fusion
from simlm.errors import UserError
from simlm.stages.answers import Answered
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import TeacherScoresOf, TrainReranker
from simlm.stages.runs import Retrieve, RunStage


class PipelineRuns(Retriever1Runs):
    """Every run that a table can ask for, over one pipeline; asking builds what it stands on."""

    @once
    def bm25_tuned(self) -> BM25:
        """BM25 with the (k1, b) that is best on valid."""
        grid = [value for point in self.scale.bm25_grid for value in point]
        return self.bm25_of(grid, self.pipeline.evaluated, "tuned BM25")

    @once
    def retriever2(self, start: str = "simlm") -> Retrieve:
        """Runs of one of ``STAGED`` fine-tuned on the negatives of its own Retriever1."""
        name = _named("Retriever2", start)
        mined = self.mined_set(self.retriever1(start), _named("Retriever1", start))
        trained = self.pipeline.retriever(self._encoder(start), mined, name)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=True)

    @once
    def mined_set(self, mined: Retrieve, miner: str) -> RunStage:
        """What trains on the run of ``miner``, beside the first negatives where sets are concatenated."""
        return self.pipeline.training_set([self.first_negatives(), mined], f"{miner}: training set")

    def second_set(self, start: str) -> RunStage:
        """What re-ranker and distillation train on, of a start's Retriever2."""
        return self.mined_set(self.retriever2(start), _named("Retriever2", start))

    @once
    def reranker(self, start: str | None = None) -> TrainReranker:
        """The cross-encoder trained on Retriever2's candidates, from a start or the scale's own."""
        start = start or self.scale.reranker_start
        name = _named("re-ranker", start, self.scale.reranker_start)
        return self.pipeline.reranker(self._encoder(start), self.second_set("simlm"), name)

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
        return self.pipeline.teacher(self.reranker(), self.second_set(miner), _named("teacher scores", miner))

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
        trained = self.pipeline.distilled(encoder, self.second_set(miner), self.teacher(miner), name, chosen)
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
                further=list(self.scale.extra_test_splits),
            ),
            "fusion",
        )

    @once
    def answered(self, ranked: RunStage, name: str) -> Answered:
        """The test run of ``name`` judged by the answers in its passages (Table 4)."""
        return self.pipeline.answered(ranked, f"{name}: answers")

    def _encoder(self, start: str) -> EncoderStage:
        """A start for the later stages, which read the scale's own pieces only."""
        known = [name for name in STARTS if name not in BYTE_LEVEL]
        if start not in known:
            raise UserError(f"no stage after Retriever1 can start from {start!r}: choose one of {', '.join(known)}")
        return STARTS[start](self.pipeline)


def _named(stage: str, start: str, own: str = "simlm") -> str:
    """A stage's name, with its start in brackets unless that is the table's own."""
    return stage if start == own else f"{stage} ({start})"
