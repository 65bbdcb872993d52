"""The arithmetic of a BERT or an ELECTRA from its sizes, in floating-point operations: a multiply-add is two.

Imports nothing, so that a measurement on a machine that has torch alone can use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

TRAINING = 3
"""Forward passes that a forward and a backward pass are worth."""
POSITIONS = 512


@dataclass(frozen=True)
class Model:
    """The sizes of a model.

    embedding: the width of a piece's vector; an ELECTRA generator projects it to `hidden`.
    """

    layers: int
    hidden: int
    intermediate: int
    embedding: int
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Model":
        """Read the sizes from the values of a config.json; KeyError for a model of another kind."""
        return cls(
            config["num_hidden_layers"],
            config["hidden_size"],
            config["intermediate_size"],
            config.get("embedding_size", config["hidden_size"]),
            config["vocab_size"],
        )

    @property
    def layer_weights(self) -> int:
        """Return the weights of one layer, without biases and norms."""
        return 4 * self.hidden**2 + 2 * self.hidden * self.intermediate

    @property
    def projection_weights(self) -> int:
        """Return the weights between the embeddings and the layers; 0 where both are equally wide."""
        return self.embedding * self.hidden if self.embedding != self.hidden else 0

    @property
    def weights(self) -> int:
        """Return the weights of embeddings and layers, without biases, norms and heads."""
        embeddings = (self.vocabulary + POSITIONS) * self.embedding
        return embeddings + self.projection_weights + self.layers * self.layer_weights

    def forward(self, tokens: float, length: float) -> float:
        """Return the FLOP of a forward pass: each token meets every weight once, and the tokens of its own text.

        Args:
            tokens: how many there are in all texts, without padding.
            length: of these texts in the mean, in tokens.
        """
        attention = 2 * length * self.hidden
        return 2 * tokens * (self.projection_weights + self.layers * (self.layer_weights + attention))

    def head(self, positions: float) -> float:
        """Return the FLOP of a masked language model's head at so many positions."""
        return 2 * positions * self.embedding * (self.hidden + self.vocabulary)


def pretraining_flop(
    encoder: Model, tokens: float, length: float, counted: float, decoder: int, generator: Model | None, masked: float
) -> float:
    """Return the FLOP of a pre-training.

    Args:
        encoder: the model that is trained.
        tokens: all that it reads, without padding.
        length: of its passages in the mean, in tokens.
        counted: positions that each head's loss is taken over.
        decoder: the number of its layers; 0 where the encoder is trained alone. It has a head of its own.
        generator: what fills the inputs of encoder and decoder, with a forward pass for each.
        masked: positions that it fills.
    """
    both = replace(encoder, layers=encoder.layers + decoder)
    flop = TRAINING * (both.forward(tokens, length) + (2 if decoder else 1) * encoder.head(counted))
    return flop if generator is None else flop + 2 * generator.forward(tokens, length) + generator.head(masked)


BERT_BASE = Model(layers=12, hidden=768, intermediate=3_072, embedding=768, vocabulary=30_522)
"""bert-base-uncased, and google/electra-base-discriminator."""
ELECTRA_GENERATOR = Model(layers=12, hidden=256, intermediate=1_024, embedding=768, vocabulary=30_522)
"""google/electra-base-generator."""
ROBERTA_BASE = replace(BERT_BASE, vocabulary=50_265)

PUBLIC: dict[str, Model] = {
    "google/electra-base-generator": ELECTRA_GENERATOR,
    "roberta-base": ROBERTA_BASE,
}
"""Models of the Hub by name, as their configurations say; others are taken to be `BERT_BASE` until they are here.

`baselines.systems` adds published systems."""
