"""The pipeline of Section 3 as stage configurations: retrievers, hard negatives, re-ranker and distillation.

Asking for a stage builds its configuration and those it stands on, once; nothing runs here.
"""

from functools import cached_property

from simlm.data.catalogue import NQ, halves, has_ready_lists
from simlm.errors import UserError
from simlm.scales.scale import Scale
from simlm.scales.settings import RetrieverSettings
from simlm.stages.answers import Answered, Answers, DerivedAnswers, GivenAnswers
from simlm.stages.data import Prepare
from simlm.stages.encoder_pipeline import EncoderPipeline, Submit
from simlm.stages.models import EncoderStage, Informed, Pretrained, RandomModel, Reinitialised
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage
from simlm.stages.sets import AnswerSets

EVALUATED = ["valid", "test"]
"""The splits of every collection on which runs are measured."""
ANSWER_WORDS = 2
"""Words of an answer where a collection has none: `simlm.evaluation.derived_answers` says why."""
ANSWERED_DEPTH = 100
"""Passages in which an answer is looked for (Table 4 ends with R@100)."""


class Pipeline(EncoderPipeline):
    """The stages of one scale."""

    def __init__(self, scale: Scale, seed: int, submit: Submit) -> None:
        super().__init__(scale, seed, submit)
        self._halves: dict[str, HalfPipeline] = {}

    def half(self, name: str) -> "Pipeline":
        """Return the pipeline over half of the collection, one object however often it is asked for.

        UserError for a collection that has no halves.
        """
        if name not in halves(self.scale.collection):
            raise UserError(
                f"the collection {self.scale.collection} has no part {name!r}: only InsuranceQA's questions have "
                "domains by which it can be split; leave this table or grid out"
            )
        if name not in self._halves:
            self._halves[name] = HalfPipeline(self, name)
        return self._halves[name]

    def simlm_on(self, name: str) -> Pretrained:
        """`base` pre-trained with SimLM's objective on a half of the collection."""
        settings = self.pretraining_of("simlm")
        return self.pretrained("replaced_lm", f"SimLM on {name}", self.generator, settings, self.half(name).data)

    @property
    def evaluated(self) -> list[str]:
        """The splits on which runs are measured: valid, test, and the collection's further test splits."""
        return [*EVALUATED, *self.scale.extra_test_splits]

    @cached_property
    def answers(self) -> Answers:
        """The answers of the evaluated queries: the collection's own, or derived ones."""
        if self.scale.collection == NQ.name:
            return self.add(GivenAnswers.C(data=self.data, splits=["test"]), "answers")
        return self.add(DerivedAnswers.C(data=self.data, splits=list(EVALUATED), words=ANSWER_WORDS), "derived answers")

    @cached_property
    def training_answers(self) -> Answers:
        """The answers that come with the queries which models train and are judged on."""
        return self.add(GivenAnswers.C(data=self.data, splits=[MINED_SPLIT, "valid"]), "answers of train and valid")

    def package_lists(self, name: str) -> PackageLists:
        """Take the hard negatives that come with the collection."""
        return self.add(PackageLists.C(data=self.data, ready=has_ready_lists(self.scale.collection)), name)

    def training_set(self, runs: list[RunStage], name: str) -> RunStage:
        """Return what a model trains on: the last of the runs, which is the newest.

        Where answers tell positives from negatives (Natural Questions), it is sets of all the runs.
        """
        if not self.scale.by_answers:
            return runs[-1]
        depth = self.scale.retriever.negatives.depth
        seed = self.scale.retriever.optimisation.seed
        return self.add(
            AnswerSets.C(data=self.data, runs=runs, answers=self.training_answers, depth=depth, seed=seed), name
        )

    def retriever(
        self,
        start: EncoderStage,
        negatives: RunStage,
        name: str,
        settings: RetrieverSettings | None = None,
        data: Prepare | None = None,
    ) -> TrainRetriever:
        """Train Retriever1 or Retriever2, by whose negatives it trains on.

        Args:
            start: the encoder.
            negatives: the run or sets that hard negatives come from.
            name: for readers.
            settings: None for the scale's.
            data: the collection in the pieces that the start reads, where they are not the scale's own. The passages
                stand in the same order, so that ``negatives`` mean the same there.
        """
        return self.add(
            TrainRetriever.C(
                data=data or self.data,
                start=start,
                negatives=negatives,
                settings=settings or self.scale.retriever,
                alpha=0.0,
            ),
            name,
        )

    def distilled(
        self, start: EncoderStage, negatives: RunStage, teacher: TeacherScoresOf, name: str
    ) -> TrainRetriever:
        """Train Retriever_distill on teacher scores and, with the scale's weight alpha, contrastively."""
        return self.add(
            TrainRetriever.C(
                data=self.data,
                start=start,
                negatives=negatives,
                settings=self.scale.distillation,
                teacher=teacher,
                alpha=self.scale.alpha,
            ),
            name,
        )

    def retrieve(self, retriever: TrainRetriever, name: str, mine: bool = False) -> Retrieve:
        """Search with a retriever for valid and test and, to mine hard negatives, for train."""
        return self.add(
            Retrieve.C(
                data=retriever.data,
                retriever=retriever,
                splits=[MINED_SPLIT, *self.evaluated] if mine else self.evaluated,
                depth=self.scale.search.evaluation_depth,
                mining_depth=self.scale.search.mining_depth,
                query_length=self.scale.retriever.query_length,
                passage_length=self.scale.retriever.passage_length,
            ),
            name,
        )

    def reranker(
        self, start: EncoderStage, candidates: RunStage, name: str, data: Prepare | None = None
    ) -> TrainReranker:
        """Train the cross-encoder on a retriever's candidates.

        ``data`` is the collection in the pieces that the start reads, where they are not the candidates'.
        """
        settings = self.scale.reranker
        return self.add(TrainReranker.C(start=start, candidates=candidates, settings=settings, data=data), name)

    def rerank(self, reranker: TrainReranker, candidates: RunStage, name: str) -> Rerank:
        """Re-rank the test runs of a retriever."""
        return self.add(
            Rerank.C(
                data=reranker.tokenised,
                reranker=reranker,
                candidates=candidates,
                splits=["test", *self.scale.extra_test_splits],
                depth=self.scale.reranker.rerank_depth,
                max_length=self.scale.reranker.max_length,
            ),
            name,
        )

    def answered(self, ranked: RunStage, name: str) -> Answered:
        """Judge a test run by the answers that its passages contain."""
        return self.add(
            Answered.C(data=self.data, ranked=ranked, answers=self.answers, splits=["test"], depth=ANSWERED_DEPTH),
            name,
        )

    def teacher(self, reranker: TrainReranker, negatives: RunStage, name: str) -> TeacherScoresOf:
        """Score the pairs that distillation will draw from the negatives."""
        settings = self.scale.distillation
        return self.add(
            TeacherScoresOf.C(
                reranker=reranker,
                negatives=negatives,
                lists=settings.negatives,
                passages_per_query=settings.passages_per_query,
                steps=settings.optimisation.steps,
                batch_size=settings.optimisation.batch_size,
                keep_last=settings.optimisation.keep_last,
                seed=settings.optimisation.seed,
                max_length=self.scale.reranker.max_length,
            ),
            name,
        )


class HalfPipeline(Pipeline):
    """The pipeline over the half ``name`` of a whole collection; the names of its stages end in the half's name.

    It is the half that is searched. What stands for a public model is the whole's, as BERT-base is one for every
    corpus: the tokenizer, `random`, `base_with_head` and the generators. Only the stand-in for `base` is made from the
    other half, so that no row knows how the words of the searched passages go together unless it was pre-trained on
    them. A half's halves are the whole's.
    """

    def __init__(self, whole: Pipeline, name: str) -> None:
        # The scale is the whole's object, whose seeds are set already: 0 leaves them.
        super().__init__(whole.scale, 0, lambda stage, stage_name: whole.add(stage, f"{stage_name}, {name}"))
        self.whole, self.name, self.seed = whole, name, whole.seed

    def half(self, name: str) -> Pipeline:
        return self.whole.half(name)

    @cached_property
    def data(self) -> Prepare:
        collection = f"{self.scale.collection}-{self.name}"
        whole = self.whole.data
        prepared = Prepare.C(collection=collection, vocabulary=0, tokenizer="", whole=whole, part=self.scale.part)
        return self.add(prepared, "collection")

    @property
    def random(self) -> RandomModel | Reinitialised:
        return self.whole.random

    @cached_property
    def informed(self) -> Informed:
        (other,) = (name for name in halves(self.scale.collection) if name != self.name)
        return self._informed(self.random, self.half(other).data, f"informed start from {other}")

    @property
    def base_with_head(self) -> Pretrained:
        return self.whole.base_with_head

    @property
    def generator(self) -> EncoderStage:
        return self.whole.generator

    @property
    def random_generator(self) -> EncoderStage:
        return self.whole.random_generator
