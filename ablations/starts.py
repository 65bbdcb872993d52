"""What a retriever starts from: the cells of "does further pre-training help, and which?" (Tables 2, 7, 8, 10, 12)."""

from collections.abc import Callable

from simlm.data.domains import HALVES
from simlm.stages.models import EncoderStage
from simlm.stages.pipeline import Pipeline

Start = Callable[[Pipeline], EncoderStage]

OBJECTIVES = {
    "enc-dec-mlm": "ablations.objectives.enc_dec_mlm:EncDecMLM",
    "condenser": "ablations.objectives.condenser:Condenser",
    "mlm": "mlm",
    "enc-dec-rtd": "ablations.objectives.enc_dec_rtd:EncDecRTD",
    "autoencoder": "ablations.objectives.autoencoder:AutoEncoder",
    "retromae": "ablations.objectives.retromae:RetroMAE",
    "cocondenser": "ablations.objectives.cocondenser:CoCondenser",
}
"""Table 7's objectives beside SimLM's, and two that the paper's readers compare with, by the name of their start."""

SAMPLED = frozenset({"enc-dec-rtd"})
"""Those whose inputs a generator fills."""

JOINT = "ablations.objectives.joint_generator:JointReplacedLM"

RATES = ((0.15, 0.15), (0.15, 0.3), (0.3, 0.3), (0.3, 0.5), (0.4, 0.6), (0.3, 1.0))
"""Table 8's replace rates of encoder and decoder."""

OWN_RATES = (0.3, 0.5)
"""Those that the paper chose, SimLM's own."""


def rates_name(encoder: float, decoder: float) -> str:
    """The name of the start with these replace rates."""
    return f"simlm-{100 * encoder:.0f}-{100 * decoder:.0f}"


def corpus_name(part: str) -> str:
    """The name of the start that was pre-trained on a part of the collection (Table 10)."""
    return f"simlm-on-{part}"


def _objective(name: str) -> Start:
    def start(pipeline: Pipeline) -> EncoderStage:
        generator = pipeline.generator if name in SAMPLED else None
        return pipeline.pretrained(OBJECTIVES[name], f"{name} pre-training", generator)

    return start


def _joint(name: str, generator: Callable[[Pipeline], EncoderStage]) -> Start:
    return lambda pipeline: pipeline.pretrained(JOINT, f"{name} pre-training", generator(pipeline))


def _rates(encoder: float, decoder: float) -> Start:
    return lambda pipeline: pipeline.with_rates(encoder, decoder, f"{rates_name(encoder, decoder)} pre-training")


def _corpus(part: str) -> Start:
    return lambda pipeline: pipeline.part(part).simlm


GENERATORS: dict[str, Start] = {
    "joint": lambda pipeline: pipeline.generator,
    "joint-random": lambda pipeline: pipeline.random_generator,
}
"""Table 12's generators that learn beside the encoder, and what they start from."""

STARTS: dict[str, Start] = {
    "random": lambda pipeline: pipeline.random,
    "base": lambda pipeline: pipeline.base,
    "simlm": lambda pipeline: pipeline.simlm,
    **{name: _objective(name) for name in OBJECTIVES},
    **{name: _joint(name, generator) for name, generator in GENERATORS.items()},
    **{rates_name(*rates): _rates(*rates) for rates in RATES if rates != OWN_RATES},
    **{corpus_name(part): _corpus(part) for part in HALVES},
}
"""Fresh weights, no further pre-training, SimLM's; other objectives', joint generators', rates' and corpora's."""
