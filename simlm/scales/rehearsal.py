"""A rehearsal: a scale with its models, batches, lengths and depths, but few updates on a part of its collection."""

from dataclasses import replace
from typing import TypeVar

from simlm.scales.scale import Scale
from simlm.scales.settings import PretrainingSettings, RerankerSettings, RetrieverSettings, varied

FOLDER = "rehearsal"
"""Of its results, below the results folder."""
UPDATES, WARMUP = 8, 2
"""Of every training. A pre-training keeps its encoder after three shares of them, which must differ."""
EVALUATIONS = 2
PASSAGES = 4_000
"""Of the collection, beside those that are judged: more than two batches of paper scale's pre-training."""
HELD_OUT = 256
"""Passages of a pre-training's evaluation."""
S = TypeVar("S", PretrainingSettings, RetrieverSettings, RerankerSettings)


def rehearsed(scale: Scale) -> Scale:
    """Return a scale with few updates on a part of its collection; a rehearsed one is returned as it is.

    A setting that was changed since, as trials change the updates, is cut again.
    """
    return replace(
        scale,
        part=PASSAGES,
        stand_in=None if scale.stand_in is None else _brief(scale.stand_in),
        generator_training=None if scale.generator_training is None else _brief(scale.generator_training),
        head_training=None if scale.head_training is None else _brief(scale.head_training),
        pretraining=_brief(scale.pretraining),
        retriever=_brief(scale.retriever),
        distillation=_brief(scale.distillation),
        reranker=_brief(scale.reranker),
        retrievers={start: _brief(settings) for start, settings in scale.retrievers.items()},
    )


def _brief(settings: S) -> S:
    whole = settings.optimisation
    steps = min(whole.steps, UPDATES)
    brief = varied(whole, steps=steps, warmup_steps=min(whole.warmup_steps, WARMUP))
    if isinstance(settings, PretrainingSettings):
        return varied(settings, optimisation=brief, held_out=min(settings.held_out, HELD_OUT))
    return varied(settings, optimisation=brief, evaluations=min(settings.evaluations, EVALUATIONS))
