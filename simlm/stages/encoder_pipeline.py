"""The pipeline up to fine-tuning, as stage configurations: the collection, and the encoders that it starts from.

Asking for a stage builds its configuration and those it stands on, once; nothing runs here.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

from simlm.errors import UserError
from simlm.scales.minilm import SHA256, WEIGHTS, location_of
from simlm.scales.scale import Scale
from simlm.scales.settings import GeneratorShape, Optimisation, PretrainingSettings, varied
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.models import (
    HEAD_MLM,
    EncoderStage,
    FirstLayers,
    Informed,
    Pretrained,
    PublicModel,
    RandomGenerator,
    RandomModel,
    Reinitialised,
    Snapshot,
    WithHead,
    public_model,
    step_at,
)
from simlm.workflow.stage import Stage

S = TypeVar("S", bound=Stage)
Submit = Callable[[Stage, str], object]


class EncoderPipeline:
    """The collection and the encoders of one scale.

    Args:
        scale: the settings.
        seed: is added to every seed of the scale, so 0 gives the published ones.
        submit: is called on each new configuration, with the name by which a reader knows it.
    """

    def __init__(self, scale: Scale, seed: int, submit: Submit) -> None:
        self.scale = scale
        self.seed = seed
        self._submit = submit
        for optimisation in _optimisations(scale) if seed else ():
            optimisation.seed += seed

    def add(self, stage: S, name: str) -> S:
        """Make a configuration part of the run, in the scale's precision, under a name for readers."""
        if isinstance(stage, ComputingStage):
            stage.precision = self.scale.precision
        self._submit(stage, name)
        return stage

    @cached_property
    def data(self) -> Prepare:
        """The tokenised collection."""
        return self._prepared(self.scale.vocabulary, "collection")

    @cached_property
    def byte_level(self) -> Prepare:
        """The collection for RoBERTa: byte-level BPE without segments.

        The vocabulary is RoBERTa's at paper scale, otherwise one of the scale's size.
        """
        own = self.scale.vocabulary
        vocabulary = own if isinstance(own, int) else self.scale.starts.get("roberta")
        if vocabulary is None:
            raise UserError(f"the scale {self.scale.name} has no RoBERTa: leave out what needs one")
        form = {"algorithm": "byte-level-bpe", "segments": False}
        return self._prepared(vocabulary, "collection (byte-level BPE)", **form)

    def _prepared(self, vocabulary: int | str, name: str, **form: Any) -> Prepare:
        """Tokenise the collection in so many pieces of its own, or in those of the tokenizer of that name."""
        pieces: dict[str, Any] = {"vocabulary": vocabulary, "tokenizer": ""}
        if isinstance(vocabulary, str):
            pieces = {"vocabulary": 0, "tokenizer": vocabulary, "tokenizer_location": location_of(vocabulary)}
        return self.add(Prepare.C(**self.collection, **pieces, **form), name)

    @property
    def collection(self) -> dict[str, Any]:
        """What every tokenisation of the scale's collection has in common, whatever its pieces."""
        scale = self.scale
        names = {"collection": scale.collection, "digest": scale.digest, "location": scale.location}
        return names | {"keep_own": scale.keep_own, "qrels_order": scale.qrels_order, "part": scale.part}

    @cached_property
    def random(self) -> RandomModel | Reinitialised:
        """A fresh encoder of the scale's shape, that of the public one where there is one."""
        if isinstance(self.scale.encoder, str):
            return self.add(Reinitialised.C(data=self.data, shape_of=self.base, seed=self._first_seed), "random init")
        return self._fresh(self.data, "random init")

    @cached_property
    def informed_byte_level(self) -> Informed:
        """An informed start that reads byte-level BPE; only where no public model stands for RoBERTa."""
        fresh = self._fresh(self.byte_level, "random init (byte-level BPE)")
        return self._informed(fresh, self.byte_level, "informed start (byte-level BPE)")

    @cached_property
    def base(self) -> EncoderStage:
        """BERT-base, or what stands for it: another public model, or the informed start."""
        if isinstance(self.scale.encoder, str):
            return self.public(self.scale.encoder, "base")
        return self.informed

    @property
    def pretraining_start(self) -> EncoderStage:
        """What every pre-training starts from: `base`, with an MLM head."""
        return self.base if self.scale.head_training is None else self.base_with_head

    @cached_property
    def base_with_head(self) -> Pretrained:
        """`base` with an MLM head that was trained on the corpus; all other weights are `base`'s."""
        settings = self.scale.head_training
        start = self._with_head(self.base, False, "base with a fresh MLM head")
        return self.add(
            Pretrained.C(data=self.data, start=start, objective=HEAD_MLM, settings=settings), "base with an MLM head"
        )

    def _with_head(self, start: EncoderStage, generator: bool, name: str) -> WithHead:
        return self.add(
            WithHead.C(start=start, corpus=self.data, generator=generator, seed=self._first_seed),
            name,
        )

    @cached_property
    def informed(self) -> Informed:
        """`random` with what the words of the corpus say of each other."""
        return self._informed(self.random, self.data, "informed start")

    def _informed(self, start: EncoderStage, corpus: Prepare, name: str) -> Informed:
        return self.add(Informed.C(start=start, corpus=corpus, seed=self._first_seed), name)

    def public(self, model: str, name: str) -> PublicModel:
        """Copy a model of the Hub or of a local folder; UserError as in `location_of`."""
        folder = location_of(model)
        return self.add(public_model(model, folder, digest=SHA256[WEIGHTS] if folder else ""), name)

    @cached_property
    def generator(self) -> EncoderStage:
        """The frozen generator."""
        if isinstance(self.scale.generator, str):
            return self.public(self.scale.generator, "generator")
        start, settings = self.untrained_generator, self.scale.generator_training
        return self.add(
            Pretrained.C(data=self.data, start=start, objective="mlm", settings=settings), "generator (MLM)"
        )

    @cached_property
    def untrained_generator(self) -> Informed | WithHead:
        """What the generator's training starts from.

        It is `random_generator` with what the words of the corpus say of each other, or the first layers of the public
        `base` under a fresh head.
        """
        if not isinstance(self.scale.generator, int):
            return self._informed(self.random_generator, self.data, "informed generator")
        layers = FirstLayers.C(start=self.base, layers=self.scale.generator)
        part = self.add(layers, f"first {layers.layers} layers of base")
        return self._with_head(part, True, "generator with a fresh MLM head")

    @cached_property
    def random_generator(self) -> EncoderStage:
        """A fresh generator of the scale's shape, that of what is public where the generator begins with that."""
        shape = self.scale.generator
        if isinstance(shape, GeneratorShape):
            stage = RandomGenerator.C(data=self.data, shape=shape, seed=self._first_seed)
        else:
            shape_of = self.generator if isinstance(shape, str) else self.untrained_generator
            stage = Reinitialised.C(data=self.data, shape_of=shape_of, seed=self._first_seed)
        return self.add(stage, "random generator")

    @cached_property
    def simlm(self) -> Pretrained:
        """`base` pre-trained further with replaced LM through the bottleneck."""
        return self.pretrained("replaced_lm", "SimLM pre-training", self.generator, self.pretraining_of("simlm"))

    def with_rates(self, encoder_rate: float, decoder_rate: float, name: str) -> Pretrained:
        """Pre-train SimLM with other replace rates."""
        settings = varied(self.pretraining_of("simlm"), encoder_rate=encoder_rate, decoder_rate=decoder_rate)
        return self.pretrained("replaced_lm", name, self.generator, settings)

    def pretraining_of(self, start: str) -> PretrainingSettings:
        """Return the scale's pre-training settings, at the start's own learning rate where it has one."""
        settings = self.scale.pretraining
        if start not in self.scale.pretraining_rates:
            return settings
        rate = self.scale.pretraining_rates[start]
        return varied(settings, optimisation=varied(settings.optimisation, learning_rate=rate))

    def pretrained(
        self,
        objective: str,
        name: str,
        generator: EncoderStage | None,
        settings: PretrainingSettings,
        data: Prepare | None = None,
    ) -> Pretrained:
        """Pre-train `base` further with an objective, on the collection or on another in the same pieces."""
        data = data or self.data
        start = self.pretraining_start
        return self.add(
            Pretrained.C(data=data, start=start, generator=generator, objective=objective, settings=settings), name
        )

    def stand_in(
        self, start: Informed, objective: str, name: str, generator: EncoderStage | None = None
    ) -> EncoderStage:
        """Pre-train an informed start on its corpus, with the settings of all short trainings of stand-ins."""
        if self.scale.stand_in is None:
            raise UserError(f"the scale {self.scale.name} has no {name}: leave out what needs one")
        return self.add(
            Pretrained.C(
                data=start.corpus, start=start, generator=generator, objective=objective, settings=self.scale.stand_in
            ),
            name,
        )

    def snapshot(self, start: Pretrained, share: Fraction, name: str) -> Snapshot:
        """Keep a pre-training's encoder after a share of its updates, one of `simlm.stages.models.SHARES`."""
        step = step_at(share, start.settings.optimisation.steps)
        return self.add(Snapshot.C(start=start, step=step), name)

    def _fresh(self, data: Prepare, name: str) -> RandomModel:
        shape = self.scale.encoder
        if isinstance(shape, str):
            raise UserError(f"the scale {self.scale.name} has public models and makes none of its own: {name}")
        return self.add(RandomModel.C(data=data, shape=shape, seed=self._first_seed), name)

    @property
    def _first_seed(self) -> int:
        return self.scale.pretraining.optimisation.seed


def _optimisations(scale: Scale) -> list[Optimisation]:
    """Return every optimisation of a scale, each once."""
    settings: list[Any] = [scale.pretraining, scale.retriever, scale.distillation, scale.reranker]
    settings += scale.retrievers.values()
    made = scale.stand_in, scale.head_training, scale.generator_training
    settings += [one for one in made if one is not None]
    return list({id(one.optimisation): one.optimisation for one in settings}.values())
