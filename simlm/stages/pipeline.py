"""The four-stage pipeline of Section 3 as stage configurations.

Asking for a stage builds its configuration and those it stands on, once; nothing runs here.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from simlm.scales.scale import Scale
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    Optimisation,
    PretrainingSettings,
    RetrieverSettings,
    varied,
)
from simlm.stages.answers import Answered, DerivedAnswers
from simlm.stages.data import Prepare
from simlm.stages.models import (
    EncoderStage,
    Generator,
    Pretrained,
    PublicModel,
    RandomGenerator,
    RandomModel,
    local_digest,
)
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, Retrieve, RunStage
from simlm.stages.stage import Stage

S = TypeVar("S", bound=Stage)
Submit = Callable[[Stage, str], object]
EVALUATED = ["valid", "test"]
ANSWER_WORDS = 2
"""Words of an answer where a collection has none: `simlm.evaluation.derived_answers` says why."""
ANSWERED_DEPTH = 100
"""Passages in which an answer is looked for (Table 4 ends with R@100)."""


class Pipeline:
    """The stages of one scale; ``seed`` is added to every seed of the scale, so 0 gives the published ones.

    ``submit`` is called on each new configuration, with the name by which a reader knows it.
    """

    def __init__(self, scale: Scale, seed: int, submit: Submit) -> None:
        self.scale = scale
        self.seed = seed
        self._submit = submit
        for optimisation in _optimisations(scale):
            optimisation.seed += seed

    def add(self, stage: S, name: str) -> S:
        """Make a configuration part of the run, under a name for readers."""
        self._submit(stage, name)
        return stage

    @cached_property
    def data(self) -> Prepare:
        """The tokenised collection."""
        trained = isinstance(self.scale.vocabulary, int)
        return self.add(
            Prepare.C(
                collection=self.scale.collection,
                vocabulary=self.scale.vocabulary if trained else 0,
                tokenizer="" if trained else self.scale.vocabulary,
            ),
            "collection",
        )

    @cached_property
    def answers(self) -> DerivedAnswers:
        """The answers of the evaluated queries."""
        return self.add(DerivedAnswers.C(data=self.data, splits=list(EVALUATED), words=ANSWER_WORDS), "derived answers")

    @cached_property
    def random(self) -> EncoderStage:
        """A fresh encoder of the scale's shape."""
        shape = self.scale.encoder
        if not isinstance(shape, EncoderShape):
            raise ValueError("a random encoder has the shape of the scale's own encoder")
        return self.add(RandomModel.C(data=self.data, shape=shape, seed=self._first_seed), "random init")

    @cached_property
    def base(self) -> EncoderStage:
        """What every row starts from: BERT-base, or its stand-in after a short MLM on the corpus."""
        if isinstance(self.scale.encoder, str):
            return self.add(_public(self.scale.encoder), "base")
        assert self.scale.base is not None
        return self.add(
            Pretrained.C(data=self.data, start=self.random, objective="mlm", settings=self.scale.base),
            "base (MLM)",
        )

    @cached_property
    def generator(self) -> EncoderStage:
        """The frozen generator."""
        if isinstance(self.scale.generator, str):
            return self.add(_public(self.scale.generator), "generator")
        assert isinstance(self.scale.generator, GeneratorShape) and self.scale.generator_training is not None
        return self.add(
            Generator.C(data=self.data, shape=self.scale.generator, settings=self.scale.generator_training),
            "generator (MLM)",
        )

    @cached_property
    def random_generator(self) -> EncoderStage:
        """A fresh generator of the scale's shape."""
        shape = self.scale.generator
        if not isinstance(shape, GeneratorShape):
            raise ValueError("a random generator has the shape of the scale's own generator")
        return self.add(RandomGenerator.C(data=self.data, shape=shape, seed=self._first_seed), "random generator")

    @cached_property
    def simlm(self) -> EncoderStage:
        """``base`` pre-trained further with replaced LM through the bottleneck."""
        return self.pretrained("replaced_lm", "SimLM pre-training", self.generator)

    def with_rates(self, encoder_rate: float, decoder_rate: float, name: str) -> EncoderStage:
        """SimLM with other replace rates."""
        settings = varied(self.scale.pretraining, encoder_rate=encoder_rate, decoder_rate=decoder_rate)
        return self.pretrained("replaced_lm", name, self.generator, settings)

    def pretrained(
        self,
        objective: str,
        name: str,
        generator: EncoderStage | None = None,
        settings: PretrainingSettings | None = None,
    ) -> EncoderStage:
        """``base`` pre-trained further with an objective, for as long as SimLM unless other settings are given."""
        return self.add(
            Pretrained.C(
                data=self.data,
                start=self.base,
                generator=generator,
                objective=objective,
                settings=settings or self.scale.pretraining,
            ),
            name,
        )

    def retriever(
        self, start: EncoderStage, negatives: RunStage, name: str, settings: RetrieverSettings | None = None
    ) -> TrainRetriever:
        """Retriever1 or Retriever2, by whose negatives it trains on; with the scale's settings or others."""
        return self.add(
            TrainRetriever.C(
                data=self.data, start=start, negatives=negatives, settings=settings or self.scale.retriever, alpha=0.0
            ),
            name,
        )

    def distilled(
        self, start: EncoderStage, negatives: RunStage, teacher: TeacherScoresOf, name: str, alpha: float
    ) -> TrainRetriever:
        """Retriever_distill."""
        return self.add(
            TrainRetriever.C(
                data=self.data,
                start=start,
                negatives=negatives,
                settings=self.scale.distillation,
                teacher=teacher,
                alpha=alpha,
            ),
            name,
        )

    def retrieve(self, retriever: EncoderStage, name: str, mine: bool = False) -> Retrieve:
        """Runs of a retriever on valid and test and, to mine hard negatives, on train."""
        return self.add(
            Retrieve.C(
                data=self.data,
                retriever=retriever,
                splits=[MINED_SPLIT, *EVALUATED] if mine else list(EVALUATED),
                depth=self.scale.search.evaluation_depth,
                mining_depth=self.scale.search.mining_depth,
                query_length=self.scale.retriever.query_length,
                passage_length=self.scale.retriever.passage_length,
            ),
            name,
        )

    def reranker(self, start: EncoderStage, candidates: RunStage) -> TrainReranker:
        """The cross-encoder trained on a retriever's candidates."""
        settings = self.scale.reranker
        return self.add(TrainReranker.C(start=start, candidates=candidates, settings=settings), "re-ranker")

    def rerank(self, reranker: TrainReranker, candidates: RunStage) -> Rerank:
        """The test run of a retriever, re-ranked."""
        return self.add(
            Rerank.C(
                data=self.data,
                reranker=reranker,
                candidates=candidates,
                splits=["test"],
                depth=self.scale.reranker.rerank_depth,
                max_length=self.scale.reranker.max_length,
            ),
            "re-ranked run",
        )

    def answered(self, ranked: RunStage, name: str) -> Answered:
        """A test run judged by the answers that its passages contain."""
        return self.add(
            Answered.C(data=self.data, ranked=ranked, answers=self.answers, splits=["test"], depth=ANSWERED_DEPTH),
            name,
        )

    def teacher(self, reranker: TrainReranker, negatives: RunStage) -> TeacherScoresOf:
        """Teacher scores of the pairs that distillation will draw."""
        settings = self.scale.distillation
        return self.add(
            TeacherScoresOf.C(
                reranker=reranker,
                negatives=negatives,
                lists=settings.negatives,
                passages_per_query=settings.passages_per_query,
                steps=settings.optimisation.steps,
                batch_size=settings.optimisation.batch_size,
                seed=settings.optimisation.seed,
                max_length=self.scale.reranker.max_length,
            ),
            "teacher scores",
        )

    @property
    def _first_seed(self) -> int:
        return self.scale.pretraining.optimisation.seed


def _public(name: str) -> PublicModel:
    return PublicModel.C(name=name, revision="main", digest=local_digest(name))


def _optimisations(scale: Scale) -> list[Optimisation]:
    """Every optimisation of a scale, each once."""
    settings: list[Any] = [scale.pretraining, scale.retriever, scale.distillation, scale.reranker]
    settings += [one for one in (scale.base, scale.generator_training) if one is not None]
    return list({id(one.optimisation): one.optimisation for one in settings}.values())
