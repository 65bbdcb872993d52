"""The settings of the models that a scale makes, or takes in place of the paper's."""

from collections.abc import Mapping

from reports.model import HyperParameter
from repro.how_chosen import OTHER_PUBLIC, SIZE, THE_PAPERS, UNDROPPED, UNTUNED, WIDTH, by_trials, row
from repro.trials import DEVIATION, GENERATOR, MLM, ORDERED_MLM
from simlm.scales import Scale
from simlm.scales.settings import GeneratorShape, PretrainingSettings


def model_settings(scale: Scale, tried: Mapping[str, str]) -> list[HyperParameter]:
    """Return the settings of the models that a scale makes itself; none if they come from the Hub."""
    encoder, generator = scale.encoder, scale.generator
    if scale.generator_training is None:
        return []
    trained = _trained_generator(scale.generator_training, tried)
    if isinstance(encoder, str) or not isinstance(generator, GeneratorShape) or scale.stand_in is None:
        return [*_public_models(scale), *trained]
    small = f"{generator.layers} layers, {generator.hidden} wide"
    return [
        row("vocabulary", scale.vocabulary, "30522 (BERT's)", SIZE),
        row("encoder", f"{encoder.layers} layers, {encoder.hidden} wide", "12 layers, 768 wide (BERT-base)", SIZE),
        row(
            "encoder: initial standard deviation",
            encoder.initializer_range,
            "0.02 (BERT's)",
            f"{WIDTH}. {by_trials(tried, DEVIATION, otherwise='Not tuned')}",
        ),
        row("encoder: dropout", encoder.dropout, "0.1 (BERT's)", "BERT's" if encoder.dropout else UNDROPPED),
        row(
            "base",
            "word vectors of the corpus, no training",
            "BERT-base's own pre-training",
            by_trials(tried, MLM, ORDERED_MLM),
        ),
        row("ELECTRA's stand-in: RTD steps", scale.stand_in.optimisation.steps, "ELECTRA's own pre-training", SIZE),
        row(
            "ELECTRA's stand-in: learning rate", scale.stand_in.optimisation.learning_rate, "2e-4 (ELECTRA's)", UNTUNED
        ),
        row("ELECTRA's stand-in: mask rate", f"{scale.stand_in.encoder_rate:.0%}", "15% (ELECTRA's)", THE_PAPERS),
        row("generator", small, "ELECTRA-base generator", SIZE),
        row("generator: initial standard deviation", generator.initializer_range, "0.02 (ELECTRA's)", WIDTH),
        *trained,
    ]


def _trained_generator(trained: PretrainingSettings, tried: Mapping[str, str]) -> list[HyperParameter]:
    steps_of, rate = trained.optimisation.steps, trained.optimisation.learning_rate
    return [
        row("generator: learning rate", rate, "5e-4 (ELECTRA's)", UNTUNED),
        row("generator: mask rate", f"{trained.encoder_rate:.0%}", "15% (ELECTRA's)", "that of the encoder's input"),
        row("generator: MLM steps", steps_of, "ELECTRA's own pre-training", by_trials(tried, GENERATOR)),
    ]


def _public_models(scale: Scale) -> list[HyperParameter]:
    """Return the settings of a public encoder that the paper did not start from, and of what is made of it."""
    head, whole = scale.head_training, f"{scale.encoder}, whole"
    assert head is not None
    return [
        row("vocabulary", f"{scale.vocabulary}'s", "30522 (BERT's)", OTHER_PUBLIC),
        row("base", whole, "BERT-base's own pre-training", OTHER_PUBLIC),
        row("MLM head: steps", head.optimisation.steps, "BERT-base has a head", "the files of base have none"),
        row("MLM head: learning rate", head.optimisation.learning_rate, "BERT-base has a head", UNTUNED),
        row("MLM head: mask rate", f"{head.encoder_rate:.0%}", "15% (BERT's)", "BERT's"),
        row("MLM head: encoder", "frozen", "BERT-base has a head", "so that all rows start from the same encoder"),
        row("generator", f"first {scale.generator} layers of base", "ELECTRA-base generator", SIZE),
    ]
