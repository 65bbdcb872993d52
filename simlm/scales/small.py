"""small: InsuranceQA from a public model, all-MiniLM-L6-v2; an evening on two cores, minutes on one GPU.

The model stands for BERT-base, whole and with its own pieces; the generator starts from its embeddings and first
layers. Settings are the paper's where the time allows. Nothing here was run yet: `repro.tuning` comes first, and what
its trials choose replaces what stands here.
"""

from dataclasses import replace
from typing import Any, TypeVar

from simlm.scales.mini import mini
from simlm.scales.minilm import REPOSITORY
from simlm.scales.scale import Scale
from simlm.scales.settings import PretrainingSettings, RerankerSettings, RetrieverSettings, varied

S = TypeVar("S", PretrainingSettings, RetrieverSettings, RerankerSettings)


def small() -> Scale:
    """Return mini's collection, grids and seeds with the public model.

    Temperature and 144 tokens a passage are the paper's.
    """
    scale = mini()
    assert scale.stand_in is not None and scale.generator_training is not None
    passages: dict[str, Any] = {"max_length": 144, "corpus_pieces": True}
    retriever: dict[str, Any] = {"temperature": 0.02, "passage_length": 144}
    return replace(
        scale,
        name="small",
        vocabulary=REPOSITORY,
        encoder=REPOSITORY,
        generator=2,
        stand_in=None,
        head_training=_of(scale.stand_in, 200, 32, 1e-3, **passages),
        generator_training=_of(scale.generator_training, 400, 32, 5e-4, **passages),
        pretraining=_of(scale.pretraining, 600, 32, 3e-4, **passages),
        retriever=_of(scale.retriever, 400, 32, 1e-4, **retriever),
        distillation=_of(scale.distillation, 400, 32, 1e-4, **retriever),
        alpha=0.2,
        reranker_start="base",
        reranker=_of(scale.reranker, 400, 8, 1e-4, max_length=128, dropout=0.1),
        tried={"learning rate": (5e-5, 1e-4, 2e-4), "alpha": (0.2, 2.0)},
        # The first two cost time that Table 2 does not have; of the others there is no public model here.
        left_out=("random", "base-distilled", "electra", "roberta"),
    )


def _of(settings: S, steps: int, batch: int, rate: float, **changes: Any) -> S:
    """Return a stage's settings with other updates, batches and learning rate."""
    optimisation = varied(
        settings.optimisation, steps=steps, batch_size=batch, warmup_steps=steps // 10, learning_rate=rate
    )
    return varied(settings, optimisation=optimisation, **changes)
