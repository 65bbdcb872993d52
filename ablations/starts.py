"""What a retriever or a re-ranker starts from.

The cells of "does further pre-training help, and which?" (Tables 2, 7, 8, 10 and 12) and of "which pre-trained model?"
(Tables 1 and 5).
"""

from collections.abc import Callable

from simlm.costs.work import PACKED_OBJECTIVES
from simlm.data.catalogue import HALVES
from simlm.stages.data import Prepare
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

RTD = "ablations.objectives.rtd:ReplacedTokenDetection"

# RetroMAE's decoder sees other tokens from every position: its attention has no packed form here.
PACKED_OBJECTIVES.update({*OBJECTIVES.values(), JOINT, RTD} - {OBJECTIVES["retromae"]})

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
        settings = pipeline.pretraining_of(name)
        return pipeline.pretrained(OBJECTIVES[name], f"{name} pre-training", generator, settings)

    return start


def _joint(name: str, generator: Callable[[Pipeline], EncoderStage]) -> Start:
    return lambda pipeline: pipeline.pretrained(
        JOINT, f"{name} pre-training", generator(pipeline), pipeline.pretraining_of("simlm")
    )


def _rates(encoder: float, decoder: float) -> Start:
    return lambda pipeline: pipeline.with_rates(encoder, decoder, f"{rates_name(encoder, decoder)} pre-training")


def _corpus(part: str) -> Start:
    return lambda pipeline: pipeline.part(part).simlm


GENERATORS: dict[str, Start] = {
    "joint": lambda pipeline: pipeline.generator,
    "joint-random": lambda pipeline: pipeline.random_generator,
}
"""Table 12's generators that learn beside the encoder, and what they start from."""


def _roberta(pipeline: Pipeline) -> EncoderStage:
    if "roberta" in pipeline.scale.starts:
        return pipeline.public(pipeline.scale.starts["roberta"], "RoBERTa")
    return pipeline.from_scratch(pipeline.random_byte_level, "mlm", "RoBERTa (MLM)")


def _electra(pipeline: Pipeline) -> EncoderStage:
    if "electra" in pipeline.scale.starts:
        return pipeline.public(pipeline.scale.starts["electra"], "ELECTRA")
    return pipeline.from_scratch(pipeline.random, RTD, "ELECTRA (RTD)", pipeline.random_generator)


PLMS: dict[str, Start] = {"base": lambda pipeline: pipeline.base, "roberta": _roberta, "electra": _electra}
"""Pre-trained language models of one size (Tables 1 and 5): the public ones at paper scale, otherwise stand-ins of one
budget of updates, each trained in its own manner.

"base" is BERT's: MLM of whole words, WordPiece, lower case. "roberta" keeps of RoBERTa (Liu et al., 2019) the
byte-level BPE that knows case, the masks of single tokens, drawn anew in every epoch, and inputs without segments;
RoBERTa's longer training, larger batches and 80/10/10 are left out, and its body is BERT's, whose second token type is
never read. "electra" is ELECTRA's replaced token detection beside a generator that starts fresh.
"""

BYTE_LEVEL = frozenset({"roberta"})
"""The starts that read byte-level BPE instead of the scale's own pieces."""


def collection_of(start: str, pipeline: Pipeline) -> Prepare:
    """The collection in the pieces that a start reads."""
    return pipeline.byte_level if start in BYTE_LEVEL else pipeline.data


STARTS: dict[str, Start] = {
    "random": lambda pipeline: pipeline.random,
    **PLMS,
    "simlm": lambda pipeline: pipeline.simlm,
    **{name: _objective(name) for name in OBJECTIVES},
    **{name: _joint(name, generator) for name, generator in GENERATORS.items()},
    **{rates_name(*rates): _rates(*rates) for rates in RATES if rates != OWN_RATES},
    **{corpus_name(part): _corpus(part) for part in HALVES},
}
"""Fresh weights, no further pre-training, SimLM's; other objectives', joint generators', rates' and corpora's."""
