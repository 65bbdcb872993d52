"""The shape of a stage's model, known before there is one."""

from dataclasses import dataclass
from pathlib import Path

from simlm.costs.arithmetic import BERT_BASE, BYTE_LEVEL_PIECES, ELECTRA_GENERATOR, WORDPIECES, Shape, parameters
from simlm.scales.settings import EncoderShape, GeneratorShape
from simlm.stages.data import Prepare
from simlm.stages.models import PublicModel
from simlm.workflow.manifest import read_json
from simlm.workflow.stage import Stage, inputs_of


@dataclass(frozen=True)
class Model:
    """A shape and the number of pieces that it reads."""

    shape: Shape
    vocabulary: int

    @property
    def parameters(self) -> int:
        """Weights of embeddings and layers."""
        return parameters(self.shape, self.vocabulary)


PUBLIC: dict[str, Model] = {
    "bert-base-uncased": Model(BERT_BASE, WORDPIECES),
    "google/electra-base-generator": Model(ELECTRA_GENERATOR, WORDPIECES),
    "google/electra-base-discriminator": Model(BERT_BASE, WORDPIECES),
    "roberta-base": Model(BERT_BASE, BYTE_LEVEL_PIECES),
    "intfloat/simlm-base-wiki100w": Model(BERT_BASE, WORDPIECES),
}
"""Models of the Hub, as their configurations say. `baselines.systems` adds those of published systems."""
MODELS = ("start", "shape_of", "retriever", "reranker")
"""The parameters of stages that name the model which theirs has the shape of."""


def model_of(stage: Stage) -> Model | None:
    """The model that a stage makes, or computes with; None where nothing says what it is like."""
    if isinstance(stage, PublicModel):
        return _configured(Path(stage.copied_from)) or PUBLIC.get(stage.name)
    shape = getattr(stage, "shape", None)
    if isinstance(shape, EncoderShape | GeneratorShape):
        dropout = shape.dropout if isinstance(shape, EncoderShape) else 0.0
        own = Shape(shape.layers, shape.hidden, shape.heads, shape.intermediate, shape.hidden, dropout)
        data = getattr(stage, "data", None)
        return Model(own, (data.vocabulary if isinstance(data, Prepare) else 0) or WORDPIECES)
    below = inputs_of(stage)
    return next((model_of(below[name]) for name in MODELS if name in below), None)


def _configured(folder: Path) -> Model | None:
    """What the configuration of a local folder says."""
    config = read_json(folder / "config.json") or {}
    try:
        hidden = int(config["hidden_size"])
        numbers = [int(config[name]) for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size")]
        layers, heads, intermediate = numbers
        embedding = int(config.get("embedding_size", hidden))
        return Model(Shape(layers, hidden, heads, intermediate, embedding, 0.0), int(config["vocab_size"]))
    except (KeyError, ValueError, TypeError):
        return None
