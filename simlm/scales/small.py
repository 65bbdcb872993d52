"""small: InsuranceQA on one GPU, an encoder half as wide as BERT-base; the paper's settings where they fit.

Nothing here was run yet. `repro.tuning` comes first, and what its trials choose replaces what stands here.
"""

from dataclasses import replace
from typing import Any, TypeVar

from simlm.scales.mini import mini
from simlm.scales.scale import Scale
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    PretrainingSettings,
    RerankerSettings,
    RetrieverSettings,
    varied,
)

S = TypeVar("S", PretrainingSettings, RetrieverSettings, RerankerSettings)


def small() -> Scale:
    """Return mini's collection and grids with larger models, whole passages, longer training, more negatives."""
    scale = mini()
    assert scale.stand_in is not None and scale.generator_training is not None
    passages: dict[str, Any] = {"max_length": 144, "held_out": 512}
    retriever: dict[str, Any] = {"temperature": 0.02, "passage_length": 144, "evaluation_queries": 1024}
    return replace(
        scale,
        name="small",
        vocabulary=8192,
        encoder=EncoderShape.C(layers=6, hidden=384, heads=6, intermediate=1536, initializer_range=0.028, dropout=0.1),
        generator=GeneratorShape.C(layers=6, hidden=128, heads=2, intermediate=512, initializer_range=0.049),
        stand_in=_longer(scale.stand_in, 4000, 128, 3e-4, **passages),
        generator_training=_longer(scale.generator_training, 4000, 128, 1e-3, **passages),
        pretraining=_longer(scale.pretraining, 4000, 128, 3e-4, **passages),
        retriever=_longer(scale.retriever, 800, 64, 1e-4, passages_per_query=8, **retriever),
        distillation=_longer(scale.distillation, 1200, 64, 1e-4, passages_per_query=12, evaluations=6, **retriever),
        alpha=0.2,
        reranker_start="electra",
        reranker=_longer(
            scale.reranker,
            800,
            32,
            1e-4,
            passages_per_query=32,
            kept_passages=8,
            max_length=192,
            dropout=0.1,
            evaluations=4,
            evaluation_queries=512,
            rerank_depth=200,
        ),
        pretraining_rates={},
        tried={
            "learning rate": (5e-5, 1e-4, 2e-4),
            "alpha": (0.2, 2.0),
            "pre-training learning rate": (3e-4, 1e-3),
        },
    )


def _longer(settings: S, steps: int, batch: int, rate: float, **changes: Any) -> S:
    """Return a stage's settings with more updates of more examples, at a rate for them."""
    optimisation = varied(
        settings.optimisation, steps=steps, batch_size=batch, warmup_steps=steps // 10, learning_rate=rate
    )
    return varied(settings, optimisation=optimisation, **changes)
