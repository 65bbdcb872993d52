"""Floating point operations that a task needs on real tokens, whoever computes more: a multiply-add is two."""

from collections.abc import Sequence

from repro.benching.models import Shape, Shapes

TRAINING = 3
"""A backward pass is two forward passes' worth."""


def layers_flop(shape: Shape, counts: Sequence[int], layers: int | None = None) -> float:
    """Forward pass of the layers over sequences of these token counts."""
    tokens, squares = sum(counts), sum(count * count for count in counts)
    products = 2 * tokens * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    return (shape.layers if layers is None else layers) * (products + 4 * squares * shape.hidden)


def head_flop(rows: float, hidden: int, embedding: int, vocabulary: int) -> float:
    """Forward pass of an MLM head at ``rows`` positions."""
    return 2 * rows * (hidden * embedding + embedding * vocabulary)


def pretraining_flop(shapes: Shapes, counts: Sequence[int], counted: int, masked: int) -> float:
    """A step of SimLM: both sides with their heads at ``counted`` positions, two passes of the generator."""
    bert, electra = shapes.encoder, shapes.generator
    both = layers_flop(bert, counts, bert.layers + 2) + 2 * head_flop(
        counted, bert.hidden, bert.hidden, shapes.vocabulary
    )
    projected = 2 * sum(counts) * electra.embedding * electra.hidden * (electra.embedding != electra.hidden)
    filling = 2 * (layers_flop(electra, counts) + projected)
    return TRAINING * both + filling + head_flop(masked, electra.hidden, electra.embedding, shapes.vocabulary)
