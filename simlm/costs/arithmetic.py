"""Floating point operations that a task needs on real tokens, whoever computes more: a multiply-add is two."""

from collections.abc import Sequence
from dataclasses import dataclass

TRAINING = 3
"""A backward pass is two forward passes' worth."""


@dataclass(frozen=True)
class Shape:
    """What a forward pass's arithmetic depends on."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    embedding: int
    dropout: float


BERT_BASE = Shape(12, 768, 12, 3_072, 768, 0.1)
"""bert-base-uncased's and google/electra-base-discriminator's, as their configurations say; roberta-base's too."""
ELECTRA_GENERATOR = Shape(12, 256, 4, 1_024, 768, 0.1)
"""google/electra-base-generator's, as its configuration says."""
WORDPIECES = 30_522
"""BERT's uncased vocabulary, which ELECTRA shares."""
BYTE_LEVEL_PIECES = 50_265
"""RoBERTa's."""


@dataclass(frozen=True)
class Lengths:
    """Of texts with their special tokens: the mean number of tokens, and the mean of its square."""

    mean: float
    square: float

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Lengths":
        """Those of some texts."""
        return cls(sum(counts) / len(counts), sum(count * count for count in counts) / len(counts))


def layers_flop(shape: Shape, texts: float, lengths: Lengths, layers: int | None = None) -> float:
    """Forward pass of the layers over so many sequences; all of the shape's layers, or another number."""
    products = 2 * lengths.mean * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    return (shape.layers if layers is None else layers) * texts * (products + 4 * lengths.square * shape.hidden)


def head_flop(rows: float, shape: Shape, vocabulary: int) -> float:
    """Forward pass of an MLM head at ``rows`` positions."""
    return 2 * rows * (shape.hidden * shape.embedding + shape.embedding * vocabulary)


def generator_flop(shape: Shape, vocabulary: int, texts: float, lengths: Lengths, masked: float) -> float:
    """A generator that fills ``masked`` positions of both sides' inputs: a forward pass a side."""
    projected = 2 * lengths.mean * shape.embedding * shape.hidden * (shape.embedding != shape.hidden)
    return 2 * (layers_flop(shape, texts, lengths) + texts * projected) + head_flop(masked, shape, vocabulary)


def bottleneck_flop(
    shape: Shape, vocabulary: int, texts: float, lengths: Lengths, counted: float, decoder: int
) -> float:
    """Training the encoder, and ``decoder`` layers if any, each with a head at ``counted`` positions."""
    heads = (2 if decoder else 1) * head_flop(counted, shape, vocabulary)
    return TRAINING * (layers_flop(shape, texts, lengths, shape.layers + decoder) + heads)


def parameters(shape: Shape, vocabulary: int, positions: int = 512) -> int:
    """Weights of embeddings and layers, without biases, norms and heads."""
    embeddings = (vocabulary + positions) * shape.embedding + shape.embedding * shape.hidden * (
        shape.embedding != shape.hidden
    )
    return embeddings + shape.layers * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
