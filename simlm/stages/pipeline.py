"""The four-stage pipeline of Section 3 as stage configurations.

Asking for a stage builds its configuration and those it stands on, once; nothing runs here.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

from simlm.data.catalogue import NQ, halves
from simlm.errors import UserError
from simlm.scales.scale import Scale
from simlm.scales.settings import (
    Optimisation,
    PretrainingSettings,
    RetrieverSettings,
    varied,
)
from simlm.stages.answers import Answered, Answers, DerivedAnswers, GivenAnswers
from simlm.stages.data import Prepare
from simlm.stages.models import (
    EncoderStage,
    Generator,
    Pretrained,
    PublicModel,
    RandomGenerator,
    RandomModel,
    Reinitialised,
    Snapshot,
    public_model,
    step_at,
)
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, Retrieve, RunStage
from simlm.stages.sets import AnswerSets
from simlm.workflow.stage import Stage

S = TypeVar("S", bound=Stage)
Submit = Callable[[Stage, str], object]
EVALUATED = ["valid", "test"]
"""The splits of every collection on which runs are measured."""
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
        self._parts: dict[str, Part] = {}
        for optimisation in _optimisations(scale) if seed else ():
            optimisation.seed += seed

    def add(self, stage: S, name: str) -> S:
        """Make a configuration part of the run, under a name for readers."""
        self._submit(stage, name)
        return stage

    def part(self, name: str) -> "Pipeline":
        """The pipeline over a part of the collection, one object however often it is asked for.

        UserError for a collection that has no parts.
        """
        if name not in halves(self.scale.collection):
            raise UserError(
                f"the collection {self.scale.collection} has no part {name!r}: only InsuranceQA's questions have "
                "domains by which it can be split; leave this table or grid out"
            )
        if name not in self._parts:
            self._parts[name] = Part(self, name)
        return self._parts[name]

    @property
    def evaluated(self) -> list[str]:
        """The splits on which runs are measured: valid, test, and the collection's further test splits."""
        return [*EVALUATED, *self.scale.extra_test_splits]

    @cached_property
    def data(self) -> Prepare:
        """The tokenised collection."""
        trained = isinstance(self.scale.vocabulary, int)
        return self.add(
            Prepare.C(
                collection=self.scale.collection,
                vocabulary=self.scale.vocabulary if trained else 0,
                tokenizer="" if trained else self.scale.vocabulary,
                digest=self.scale.digest,
                location=self.scale.location,
            ),
            "collection",
        )

    @cached_property
    def byte_level(self) -> Prepare:
        """The collection in byte-level BPE, without segments: RoBERTa's input, in its own pieces or as many as ours."""
        trained = isinstance(self.scale.vocabulary, int)
        return self.add(
            Prepare.C(
                collection=self.scale.collection,
                vocabulary=self.scale.vocabulary if trained else 0,
                tokenizer="" if trained else self.scale.starts["roberta"],
                algorithm="byte-level-bpe",
                segments=False,
                digest=self.scale.digest,
                location=self.scale.location,
            ),
            "collection (byte-level BPE)",
        )

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

    def training_set(self, runs: list[RunStage], name: str) -> RunStage:
        """What a model trains on: the newest run, the last; where answers tell passages apart, sets of all of them."""
        if not self.scale.by_answers:
            return runs[-1]
        depth = self.scale.retriever.negatives.depth
        return self.add(AnswerSets.C(data=self.data, runs=runs, answers=self.training_answers, depth=depth), name)

    @cached_property
    def random(self) -> RandomModel | Reinitialised:
        """A fresh encoder of the scale's shape, that of the public one where there is one."""
        if isinstance(self.scale.encoder, str):
            return self.add(Reinitialised.C(data=self.data, shape_of=self.base, seed=self._first_seed), "random init")
        return self._fresh(self.data, "random init")

    @cached_property
    def random_byte_level(self) -> RandomModel:
        """The same, for byte-level BPE; only where no public model stands for RoBERTa."""
        return self._fresh(self.byte_level, "random init (byte-level BPE)")

    @cached_property
    def base(self) -> EncoderStage:
        """What every row starts from: BERT-base, or its stand-in after a short MLM on the corpus."""
        if isinstance(self.scale.encoder, str):
            return self.public(self.scale.encoder, "base")
        return self.from_scratch(self.random, "mlm", "base (MLM)")

    def public(self, model: str, name: str) -> PublicModel:
        """A model of the Hub or of a local folder."""
        return self.add(public_model(model), name)

    @cached_property
    def generator(self) -> EncoderStage:
        """The frozen generator."""
        if isinstance(self.scale.generator, str):
            return self.public(self.scale.generator, "generator")
        assert self.scale.generator_training is not None
        return self.add(
            Generator.C(data=self.data, shape=self.scale.generator, settings=self.scale.generator_training),
            "generator (MLM)",
        )

    @cached_property
    def random_generator(self) -> EncoderStage:
        """A fresh generator of the scale's shape, that of the public one where there is one."""
        shape = self.scale.generator
        if isinstance(shape, str):
            return self.add(
                Reinitialised.C(data=self.data, shape_of=self.generator, seed=self._first_seed), "random generator"
            )
        return self.add(RandomGenerator.C(data=self.data, shape=shape, seed=self._first_seed), "random generator")

    def pretraining_of(self, start: str) -> PretrainingSettings:
        """The scale's pre-training, at the start's own learning rate where it has one."""
        settings = self.scale.pretraining
        if start not in self.scale.pretraining_rates:
            return settings
        rate = self.scale.pretraining_rates[start]
        return varied(settings, optimisation=varied(settings.optimisation, learning_rate=rate))

    @cached_property
    def simlm(self) -> Pretrained:
        """``base`` pre-trained further with replaced LM through the bottleneck."""
        return self.pretrained("replaced_lm", "SimLM pre-training", self.generator, self.pretraining_of("simlm"))

    def from_scratch(
        self, start: RandomModel | Reinitialised, objective: str, name: str, generator: EncoderStage | None = None
    ) -> EncoderStage:
        """A fresh encoder pre-trained on the corpus that it reads, with ``base``'s settings and budget."""
        if self.scale.base is None:
            raise UserError(f"the scale {self.scale.name} has public models and pre-trains none from scratch: {name}")
        return self.add(
            Pretrained.C(
                data=start.data, start=start, generator=generator, objective=objective, settings=self.scale.base
            ),
            name,
        )

    def with_rates(self, encoder_rate: float, decoder_rate: float, name: str) -> Pretrained:
        """SimLM with other replace rates."""
        settings = varied(self.pretraining_of("simlm"), encoder_rate=encoder_rate, decoder_rate=decoder_rate)
        return self.pretrained("replaced_lm", name, self.generator, settings)

    def pretrained(
        self, objective: str, name: str, generator: EncoderStage | None, settings: PretrainingSettings
    ) -> Pretrained:
        """``base`` pre-trained further with an objective."""
        return self.add(
            Pretrained.C(
                data=self.data,
                start=self.base,
                generator=generator,
                objective=objective,
                settings=settings,
            ),
            name,
        )

    def snapshot(self, start: Pretrained, share: Fraction, name: str) -> Snapshot:
        """A pre-training's encoder after a share of its updates, one of ``simlm.stages.models.SHARES``."""
        step = step_at(share, start.settings.optimisation.steps)
        return self.add(Snapshot.C(start=start, step=step), name)

    def retriever(
        self,
        start: EncoderStage,
        negatives: RunStage,
        name: str,
        settings: RetrieverSettings | None = None,
        data: Prepare | None = None,
    ) -> TrainRetriever:
        """Retriever1 or Retriever2, by whose negatives it trains on; with the scale's settings or others.

        ``data`` is the collection in the pieces that the start reads, where they are not the scale's own: the passages
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

    def retrieve(self, retriever: TrainRetriever, name: str, mine: bool = False) -> Retrieve:
        """Runs of a retriever on valid and test and, to mine hard negatives, on train."""
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

    def reranker(self, start: EncoderStage, candidates: RunStage, name: str) -> TrainReranker:
        """The cross-encoder trained on a retriever's candidates."""
        settings = self.scale.reranker
        return self.add(TrainReranker.C(start=start, candidates=candidates, settings=settings), name)

    def rerank(self, reranker: TrainReranker, candidates: RunStage, name: str) -> Rerank:
        """The test runs of a retriever, re-ranked."""
        return self.add(
            Rerank.C(
                data=self.data,
                reranker=reranker,
                candidates=candidates,
                splits=["test", *self.scale.extra_test_splits],
                depth=self.scale.reranker.rerank_depth,
                max_length=self.scale.reranker.max_length,
            ),
            name,
        )

    def answered(self, ranked: RunStage, name: str) -> Answered:
        """A test run judged by the answers that its passages contain."""
        return self.add(
            Answered.C(data=self.data, ranked=ranked, answers=self.answers, splits=["test"], depth=ANSWERED_DEPTH),
            name,
        )

    def teacher(self, reranker: TrainReranker, negatives: RunStage, name: str) -> TeacherScoresOf:
        """Teacher scores of the pairs that distillation will draw from the negatives."""
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
            name,
        )

    def _fresh(self, data: Prepare, name: str) -> RandomModel:
        shape = self.scale.encoder
        if isinstance(shape, str):
            raise UserError(f"the scale {self.scale.name} has public models and makes none of its own: {name}")
        return self.add(RandomModel.C(data=data, shape=shape, seed=self._first_seed), name)

    @property
    def _first_seed(self) -> int:
        return self.scale.pretraining.optimisation.seed


class Part(Pipeline):
    """The pipeline over the part ``name`` of a whole collection; its stages' names end in the part's.

    What stands for a public model is the whole's, as BERT-base is one for every corpus: the tokenizer, ``random``,
    ``base`` and the generators. A part's parts are the whole's, so that a model pre-trained on one part can be
    fine-tuned on another.
    """

    def __init__(self, whole: Pipeline, name: str) -> None:
        # The scale is the whole's object, whose seeds are set already: 0 leaves them.
        super().__init__(whole.scale, 0, lambda stage, stage_name: whole.add(stage, f"{stage_name}, {name}"))
        self.whole, self.name, self.seed = whole, name, whole.seed

    def part(self, name: str) -> Pipeline:
        return self.whole.part(name)

    @cached_property
    def data(self) -> Prepare:
        collection = f"{self.scale.collection}-{self.name}"
        whole = self.whole.data
        return self.add(Prepare.C(collection=collection, vocabulary=0, tokenizer="", whole=whole), "collection")

    @property
    def random(self) -> RandomModel | Reinitialised:
        return self.whole.random

    @property
    def base(self) -> EncoderStage:
        return self.whole.base

    @property
    def generator(self) -> EncoderStage:
        return self.whole.generator

    @property
    def random_generator(self) -> EncoderStage:
        return self.whole.random_generator


def _optimisations(scale: Scale) -> list[Optimisation]:
    """Every optimisation of a scale, each once."""
    settings: list[Any] = [scale.pretraining, scale.retriever, scale.distillation, scale.reranker]
    settings += scale.retrievers.values()
    settings += [one for one in (scale.base, scale.generator_training) if one is not None]
    return list({id(one.optimisation): one.optimisation for one in settings}.values())
