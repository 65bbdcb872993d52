"""The runs that the tables show: those of an ablation's Retriever1, and those of all later stages."""

from ablations.retriever1_runs import Retriever1Runs, once
from ablations.starts import BYTE_LEVEL, STARTS
from baselines.minilm import first_layers, minilm_pipeline
from baselines.released import SystemPipeline
from baselines.stages import BM25, Fusion
from simlm.errors import UserError
from simlm.scales.minilm import MINILM
from simlm.stages.answers import Answered
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import TeacherScoresOf, TrainReranker
from simlm.stages.runs import Retrieve, RunStage


class PipelineRuns(Retriever1Runs):
    """Every run that a table can ask for, over one pipeline. Asking for a run builds what it depends on, once."""

    @once
    def bm25_tuned(self) -> BM25:
        """Return BM25 with the (k1, b) that is best on valid."""
        grid = [value for point in self.scale.bm25_grid for value in point]
        return self.bm25_of(grid, self.pipeline.evaluated, "tuned BM25")

    @once
    def retriever2(self, start: str = "simlm") -> Retrieve:
        """Return the runs of a start, one of ``STAGED``, fine-tuned on the negatives of its own Retriever1."""
        name = _named("Retriever2", start)
        mined = self.mined_set(self.retriever1(start), _named("Retriever1", start))
        trained = self.pipeline.retriever(self._encoder(start), mined, name)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=True)

    @once
    def mined_set(self, mined: Retrieve, miner: str) -> RunStage:
        """Return the training set from the run of ``miner``, joined with the first negatives where sets are joined."""
        return self.pipeline.training_set([self.first_negatives(), mined], f"{miner}: training set")

    def second_set(self, start: str) -> RunStage:
        """Return the training set of re-ranker and distillation, from the run of a start's Retriever2."""
        return self.mined_set(self.retriever2(start), _named("Retriever2", start))

    @once
    def reranker(self, start: str | None = None) -> TrainReranker:
        """Return the cross-encoder trained on Retriever2's candidates, from a start or the scale's own."""
        start = start or self.scale.reranker_start
        name = _named("re-ranker", start, self.scale.reranker_start)
        if start == MINILM:
            encoder, data = first_layers(self.minilm()), self.minilm().data
        else:
            encoder, data = self._encoder(start), None
        return self.pipeline.reranker(encoder, self.second_set("simlm"), name, data)

    @once
    def minilm(self) -> SystemPipeline:
        """Return the pipeline over the collection in the pieces of all-MiniLM-L6-v2."""
        return minilm_pipeline(self.pipeline)

    @once
    def minilm_as_published(self) -> RunStage:
        """Return the runs of all-MiniLM-L6-v2, of which nothing is trained here."""
        public = self.minilm()
        return public.search(public.model, public.model, ["test", *self.scale.extra_test_splits])

    @once
    def reranked(self, start: str | None = None) -> RunStage:
        """Return Retriever2's test run, its top re-ranked by the re-ranker from a start or the scale's own."""
        own = self.scale.reranker_start
        name = _named("re-ranked run", start or own, own)
        return self.pipeline.rerank(self.reranker(start), self.retriever2(), name)

    @once
    def teacher(self, miner: str = "simlm") -> TeacherScoresOf:
        """Return the re-ranker's scores of the pairs that distillation draws from the negatives of ``miner``.

        There is one re-ranker for all, trained on SimLM's candidates, as in Table 6.
        """
        return self.pipeline.teacher(self.reranker(), self.second_set(miner), _named("teacher scores", miner))

    @once
    def distilled(self, start: str, miner: str = "simlm") -> Retrieve:
        """Return the runs of a start that is distilled, with one teacher and number of updates for all starts.

        Args:
            start: The start.
            miner: The start whose Retriever2 mined the negatives.
        """
        name = f"Retriever_distill ({start})"
        if miner != "simlm":
            name = f"{name}, {miner}'s negatives"
        encoder = self._encoder(start)
        trained = self.pipeline.distilled(encoder, self.second_set(miner), self.teacher(miner), name)
        return self.pipeline.retrieve(trained, f"{name}: runs")

    @once
    def fusion(self) -> Fusion:
        """Return the distilled SimLM fused with default BM25."""
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
        """Return the test run of ``name``, judged by the answers in its passages (Table 4)."""
        return self.pipeline.answered(ranked, f"{name}: answers")

    def _encoder(self, start: str) -> EncoderStage:
        """Return a start for the stages after Retriever1, which only read the scale's own vocabulary."""
        known = [name for name in STARTS if name not in BYTE_LEVEL]
        if start not in known:
            raise UserError(f"no stage after Retriever1 can start from {start!r}: choose one of {', '.join(known)}")
        return STARTS[start](self.pipeline)


def _named(stage: str, start: str, own: str = "simlm") -> str:
    """Return a stage's name, with its start in brackets unless that is the usual one."""
    return stage if start == own else f"{stage} ({start})"
