"""smoke: a few hundred passages of the embedded collection, the whole pipeline in seconds; for tests."""

from dataclasses import replace
from typing import Any, TypeVar

from simlm.scales.mini import mini
from simlm.scales.scale import FLOAT32, Scale
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    NegativesSettings,
    PretrainingSettings,
    RerankerSettings,
    RetrieverSettings,
    varied,
)

S = TypeVar("S", PretrainingSettings, RetrieverSettings, RerankerSettings)


def smoke() -> Scale:
    """Return mini's settings on the smoke collection, with tiny models, few steps and short lists."""
    scale = mini()
    assert scale.stand_in is not None and scale.generator_training is not None
    return replace(
        scale,
        name="smoke",
        precision=FLOAT32,  # so small that bfloat16 saves nothing, and the same on every processor
        collection="insuranceqa-smoke",
        vocabulary=600,
        encoder=EncoderShape.C(layers=2, hidden=64, heads=2, intermediate=128, initializer_range=0.069, dropout=0.0),
        generator=GeneratorShape.C(layers=2, hidden=32, heads=2, intermediate=64, initializer_range=0.098),
        stand_in=_brief(scale.stand_in, 6, 16, held_out=16),
        generator_training=_brief(scale.generator_training, 6, 16, held_out=16),
        pretraining=_brief(scale.pretraining, 8, 16, held_out=16),
        retriever=_brief(scale.retriever, 8, 8, passage_length=48, evaluation_queries=16, negatives=_lists()),
        distillation=_brief(scale.distillation, 8, 8, passage_length=48, evaluation_queries=16, negatives=_lists()),
        reranker_start="simlm",
        reranker=_brief(
            scale.reranker, 6, 4, max_length=64, dropout=0.1, evaluation_queries=16, rerank_depth=10, negatives=_lists()
        ),
        search=varied(scale.search, evaluation_depth=100, mining_depth=40),
        pretraining_rates={},
        tried={
            "updates of MLM first": (0, 6),
            "learning rate": (5e-4, 1e-3),
            "alpha": (0.2, 2.0),
            "dropout of the re-ranker": (0.0, 0.1),
        },
        bm25_grid=scale.bm25_grid[:2],
        fusion_grid=scale.fusion_grid[::5],
    )


def _brief(settings: S, steps: int, batch: int, **changes: Any) -> S:
    """Return a stage's settings with few updates of few examples."""
    optimisation = varied(settings.optimisation, steps=steps, batch_size=batch, warmup_steps=2)
    return varied(settings, optimisation=optimisation, **changes)


def _lists() -> NegativesSettings:
    return NegativesSettings.C(depth=20, total=24)
