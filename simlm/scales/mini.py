"""mini: InsuranceQA on two CPU cores in minutes; the default scale.

Every row is trained with the same settings, but for each objective's own pre-training rate; the report says how each
was chosen. Lengths and numbers of updates are what Table 2's minutes leave room for. The re-ranker starts from a public
model where that is installed.
"""

from functools import partial

from simlm.scales.minilm import MINILM
from simlm.scales.scale import Scale
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    Optimisation,
    PretrainingSettings,
    RerankerSettings,
    SearchSettings,
    negatives_settings,
    retriever_settings,
)

_retriever = partial(retriever_settings, temperature=0.05, passage_length=96, evaluation_queries=256)


def mini() -> Scale:
    """Return the scale's settings, new objects at each call."""
    return Scale(
        name="mini",
        collection="insuranceqa",
        vocabulary=2048,
        encoder=EncoderShape.C(layers=3, hidden=128, heads=2, intermediate=512, initializer_range=0.049, dropout=0.0),
        generator=GeneratorShape.C(layers=2, hidden=64, heads=2, intermediate=256, initializer_range=0.069),
        stand_in=_pretraining(_optimisation(300, 3e-4, seed=45677), 0.15, 0.15),
        generator_training=_pretraining(_optimisation(600, 1e-3, seed=45679), 0.3, 0.3, 48),
        pretraining=_pretraining(_optimisation(1200, 1e-3, seed=45678), 0.3, 0.5),
        pretraining_rates={},
        retriever=_retriever(_optimisation(800, 5e-4, seed=1234), passages=2, evaluations=0),
        distillation=_retriever(_optimisation(800, 5e-4, seed=123), passages=3, evaluations=2),
        alpha=2.0,
        reranker_start=MINILM,
        reranker=RerankerSettings.C(
            optimisation=_optimisation(600, 2e-4, seed=987, batch=8),
            passages_per_query=6,
            kept_passages=4,
            max_length=80,
            dropout=0.0,
            negatives=negatives_settings(),
            evaluations=2,
            evaluation_queries=256,
            evaluation_passages=16,
            rerank_depth=20,
        ),
        search=SearchSettings.C(evaluation_depth=1000, mining_depth=200),
        tried={
            "updates of MLM first": (0, 300),
            "updates of ordered MLM first": (0, 300),
            "updates of the generator": (0, 600),
            "initial standard deviation": (0.02, 0.049, 0.1),
            "learning rate": (2.5e-4, 5e-4, 1e-3),
            "temperature": (0.03, 0.05),
            "updates of Retriever1": (200, 400, 800),
            "tokens a passage": (64, 96),
            "pre-training updates": (600, 1200, 2000),
            "alpha": (0.2, 2.0),
            "dropout of the re-ranker": (0.0, 0.1),
            "pre-training learning rate": (3e-4, 1e-3),
        },
        bm25_grid=tuple((k1, b) for k1 in (0.6, 0.9, 1.2) for b in (0.4, 0.6, 0.8)),
        fusion_grid=tuple(round(0.05 * i, 2) for i in range(21)),
    )


def _optimisation(steps: int, learning_rate: float, seed: int, batch: int = 32) -> Optimisation:
    return Optimisation.C(
        learning_rate=learning_rate,
        batch_size=batch,
        steps=steps,
        warmup_steps=steps // 10,
        schedule="linear",
        seed=seed,
    )


def _pretraining(
    optimisation: Optimisation, encoder_rate: float, decoder_rate: float, length: int = 96
) -> PretrainingSettings:
    return PretrainingSettings.C(
        optimisation=optimisation,
        max_length=length,
        encoder_rate=encoder_rate,
        decoder_rate=decoder_rate,
        generator_dropout=False,
        held_out=256,
    )
