"""mini: InsuranceQA on two CPU cores in minutes; the default scale.

Every row is trained with the same settings; the report says how each was chosen.
"""

from simlm.scales.scale import Scale
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    NegativesSettings,
    Optimisation,
    PretrainingSettings,
    RerankerSettings,
    RetrieverSettings,
    SearchSettings,
)


def mini() -> Scale:
    """The scale's settings, new objects at each call."""

    def mlm(steps: int, learning_rate: float, rate: float, seed: int) -> PretrainingSettings:
        return PretrainingSettings.C(
            optimisation=Optimisation.C(
                learning_rate=learning_rate,
                batch_size=32,
                steps=steps,
                warmup_steps=steps // 10,
                schedule="linear",
                seed=seed,
            ),
            max_length=48,
            encoder_rate=rate,
            decoder_rate=rate,
            generator_dropout=False,
            held_out=256,
        )

    def retriever(steps: int, seed: int, passages: int, evaluations: int) -> RetrieverSettings:
        return RetrieverSettings.C(
            optimisation=Optimisation.C(
                learning_rate=1e-3,
                batch_size=32,
                steps=steps,
                warmup_steps=steps // 10,
                schedule="linear",
                seed=seed,
            ),
            passages_per_query=passages,
            temperature=0.05,
            query_length=32,
            passage_length=64,
            negatives=NegativesSettings.C(depth=200, total=210),
            evaluations=evaluations,
            evaluation_queries=256,
        )

    return Scale(
        name="mini",
        collection="insuranceqa",
        vocabulary=2048,
        encoder=EncoderShape.C(
            layers=3, hidden=128, heads=2, intermediate=512, initializer_range=0.049, dropout=0.0
        ),
        generator=GeneratorShape.C(layers=2, hidden=64, heads=2, intermediate=256, initializer_range=0.069),
        base=mlm(400, 3e-4, 0.15, 45677),
        generator_training=mlm(400, 1e-3, 0.3, 45679),
        pretraining=PretrainingSettings.C(
            optimisation=Optimisation.C(
                learning_rate=1e-3, batch_size=32, steps=600, warmup_steps=60, schedule="linear", seed=45678
            ),
            max_length=48,
            encoder_rate=0.3,
            decoder_rate=0.5,
            generator_dropout=False,
            held_out=256,
        ),
        retriever=retriever(360, 1234, 2, 0),
        distillation=retriever(400, 123, 3, 2),
        alpha=2.0,
        reranker_start="simlm",
        reranker=RerankerSettings.C(
            optimisation=Optimisation.C(
                learning_rate=5e-4, batch_size=16, steps=200, warmup_steps=20, schedule="linear", seed=987
            ),
            passages_per_query=6,
            kept_passages=4,
            max_length=80,
            dropout=0.1,
            negatives=NegativesSettings.C(depth=200, total=210),
            evaluations=2,
            evaluation_queries=128,
            rerank_depth=20,
        ),
        search=SearchSettings.C(evaluation_depth=1000, mining_depth=200),
        rate_grid=(5e-4, 1e-3, 2e-3),
        alpha_grid=(0.2, 2.0),
        bm25_grid=tuple((k1, b) for k1 in (0.6, 0.9, 1.2) for b in (0.4, 0.6, 0.8)),
        fusion_grid=tuple(round(0.05 * i, 2) for i in range(21)),
    )
