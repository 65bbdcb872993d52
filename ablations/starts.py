"""What a retriever or a re-ranker starts from, by name: fresh weights, public models, and pre-trainings of all kinds.

Tables 2, 7, 8, 10 and 12 and Figure 3 compare kinds of further pre-training, Tables 1 and 5 pre-trained models. A new
objective needs one line in ``COMPARED``: it is then a start, a cell of the grid, a row of Table 7 and a trial.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from simlm.costs.work import PADDED_OBJECTIVES
from simlm.data.catalogue import HALVES
from simlm.stages.data import Prepare
from simlm.stages.models import SHARES, EncoderStage, Pretrained
from simlm.stages.pipeline import Pipeline

Start = Callable[[Pipeline], EncoderStage]


class ComparedObjective(NamedTuple):
    """An objective of pre-training that is compared with SimLM's."""

    path: str
    """``package.module:Class``, or the name of an objective in `simlm.pretraining`."""
    label: str
    """Its name in Table 7, as the paper prints it if it does."""
    generator: bool = False
    """Whether a generator fills the masked positions of its inputs."""
    packed: bool = True
    """Whether its forward pass works on packed passages."""


COMPARED: dict[str, ComparedObjective] = {
    "enc-dec-mlm": ComparedObjective("ablations.objectives.enc_dec_mlm:EncDecMLM", "Enc-Dec MLM"),
    "condenser": ComparedObjective("ablations.objectives.condenser:Condenser", "Condenser"),
    "mlm": ComparedObjective("mlm", "MLM"),
    "enc-dec-rtd": ComparedObjective("ablations.objectives.enc_dec_rtd:EncDecRTD", "Enc-Dec RTD", generator=True),
    "autoencoder": ComparedObjective("ablations.objectives.autoencoder:AutoEncoder", "AutoEncoder"),
    # Its decoder sees other tokens from every position: that attention has no packed form here.
    "retromae": ComparedObjective("ablations.objectives.retromae:RetroMAE", "RetroMAE", packed=False),
    "cocondenser": ComparedObjective("ablations.objectives.cocondenser:CoCondenser", "coCondenser"),
    # Nor has its decoder's attention span.
    "seed": ComparedObjective("ablations.objectives.seed:SEED", "SEED", packed=False),
    "diffcse": ComparedObjective("ablations.objectives.diffcse:DiffCSE", "DiffCSE", generator=True),
    "ict": ComparedObjective("ablations.objectives.inverse_cloze:InverseCloze", "ICT"),
    "cropping": ComparedObjective("ablations.objectives.cropping:IndependentCropping", "cropping"),
}
"""Table 7's objectives beside SimLM's, and others that its readers compare with, by the name of their start."""

JOINT = "ablations.objectives.joint_generator:JointReplacedLM"
"""SimLM's objective with a generator that learns beside the encoder (Table 12)."""

RTD = "ablations.objectives.rtd:ReplacedTokenDetection"
"""ELECTRA's objective, for Table 1's stand-in of ELECTRA."""

PADDED_OBJECTIVES.update(objective.path for objective in COMPARED.values() if not objective.packed)

RATES = ((0.15, 0.15), (0.15, 0.3), (0.3, 0.3), (0.3, 0.5), (0.4, 0.6), (0.3, 1.0))
"""The pairs of replace rates in Table 8: of the encoder's input and of the decoder's."""

OWN_RATES = (0.3, 0.5)
"""The pair that the paper chose, SimLM's own."""


def rates_name(encoder: float, decoder: float) -> str:
    """Return the name of the start with these replace rates."""
    return f"simlm-{100 * encoder:.0f}-{100 * decoder:.0f}"


def corpus_name(part: str) -> str:
    """Return the name of the start that was pre-trained on a part of the collection (Table 10)."""
    return f"simlm-on-{part}"


def share_name(start: str, share: Fraction) -> str:
    """Return the name of the encoder after a share of a start's updates; after all of them it is the start's own."""
    return start if share == 1 else f"{start}-{share.numerator}of{share.denominator}"


def _objective(name: str, objective: ComparedObjective) -> Start:
    def start(pipeline: Pipeline) -> EncoderStage:
        generator = pipeline.generator if objective.generator else None
        return pipeline.pretrained(objective.path, f"{name} pre-training", generator, pipeline.pretraining_of(name))

    return start


def _joint(name: str, generator: Callable[[Pipeline], EncoderStage]) -> Start:
    return lambda pipeline: pipeline.pretrained(
        JOINT, f"{name} pre-training", generator(pipeline), pipeline.pretraining_of("simlm")
    )


def _rates(encoder: float, decoder: float) -> Start:
    return lambda pipeline: pipeline.with_rates(encoder, decoder, f"{rates_name(encoder, decoder)} pre-training")


def _corpus(part: str) -> Start:
    return lambda pipeline: pipeline.simlm_on(part)


def _snapshot(start: str, share: Fraction) -> Start:
    def encoder(pipeline: Pipeline) -> EncoderStage:
        pretrained = STARTS[start](pipeline)
        assert isinstance(pretrained, Pretrained), f"{start} is no pre-training"
        return pipeline.snapshot(pretrained, share, f"{share_name(start, share)} snapshot")

    return encoder


GENERATORS: dict[str, Start] = {
    "joint": lambda pipeline: pipeline.generator,
    "joint-random": lambda pipeline: pipeline.random_generator,
}
"""What the generators of Table 12 that learn beside the encoder start from, by the name of the encoder's start."""


def _roberta(pipeline: Pipeline) -> EncoderStage:
    if "roberta" in pipeline.scale.starts:
        return pipeline.public(pipeline.scale.starts["roberta"], "RoBERTa")
    return pipeline.informed_byte_level


def _electra(pipeline: Pipeline) -> EncoderStage:
    if "electra" in pipeline.scale.starts:
        return pipeline.public(pipeline.scale.starts["electra"], "ELECTRA")
    return pipeline.stand_in(pipeline.informed, RTD, "ELECTRA (RTD)", pipeline.random_generator)


PLMS: dict[str, Start] = {"base": lambda pipeline: pipeline.base, "roberta": _roberta, "electra": _electra}
"""Pre-trained language models of one size (Tables 1 and 5): at paper scale the public ones.

At other scales they are stand-ins that begin with the word vectors of the corpus (`simlm.models.informed`).

"base" is BERT's: WordPiece, lower case. Training it further by MLM did not make it a better retriever (``TRIED``).
"roberta" keeps of RoBERTa (Liu et al., 2019) the byte-level BPE that knows case and inputs without segments; its body
is BERT's, whose second token type is never read. "electra" is BERT's stand-in after a short training by ELECTRA's
replaced token detection, which is all that tells the two apart, beside a generator that starts fresh.
"""

TRIED: dict[str, Start] = {
    "base-mlm": lambda pipeline: pipeline.stand_in(pipeline.informed, "mlm", "base (MLM)"),
    "base-ordered-mlm": lambda pipeline: pipeline.stand_in(pipeline.informed, "ordered-mlm", "base (ordered MLM)"),
    "simlm-untrained-generator": lambda pipeline: pipeline.pretrained(
        "replaced_lm",
        "SimLM pre-training, untrained generator",
        pipeline.untrained_generator,
        pipeline.pretraining_of("simlm"),
    ),
}
"""`base` after short trainings, and SimLM beside a generator without one: trials decide (`repro.trials`)."""

BYTE_LEVEL = frozenset({"roberta"})
"""The starts that read byte-level BPE instead of the scale's own pieces."""


def collection_of(start: str, pipeline: Pipeline) -> Prepare:
    """Return the collection in the pieces that a start reads."""
    return pipeline.byte_level if start in BYTE_LEVEL else pipeline.data


STARTS: dict[str, Start] = {
    "random": lambda pipeline: pipeline.random,
    **PLMS,
    "simlm": lambda pipeline: pipeline.simlm,
    **{name: _objective(name, objective) for name, objective in COMPARED.items()},
    **{name: _joint(name, generator) for name, generator in GENERATORS.items()},
    **{rates_name(*rates): _rates(*rates) for rates in RATES if rates != OWN_RATES},
    **{corpus_name(part): _corpus(part) for part in HALVES},
}
"""Every start: fresh weights, pre-trained models, SimLM, other objectives, generators, replace rates and corpora."""

FOLLOWED = ("simlm", "mlm")
"""The pre-trainings that are followed step by step (Figure 3)."""

SNAPSHOTS: dict[str, Start] = {
    share_name(start, share): _snapshot(start, share) for start in FOLLOWED for share in SHARES
}
"""The encoders that they had after shares of their updates."""

ENCODERS = STARTS | SNAPSHOTS | TRIED
"""Everything that a Retriever1 can be fine-tuned from, by name."""
