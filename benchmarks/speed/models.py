"""Models of true size with random weights: BERT-base, an ELECTRA-base generator and discriminator; mini's on a CPU."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM

from benchmarks.speed.machine import Machine
from simlm.costs.arithmetic import BERT_BASE, ELECTRA_GENERATOR, WORDPIECES, Shape

Model = TypeVar("Model", bound=torch.nn.Module)


@dataclass(frozen=True)
class Shapes:
    """The encoder's, the generator's, and their vocabulary."""

    encoder: Shape
    generator: Shape
    vocabulary: int


PAPER = Shapes(BERT_BASE, ELECTRA_GENERATOR, WORDPIECES)
MINI = Shapes(Shape(3, 128, 2, 512, 128, 0.0), Shape(2, 64, 2, 256, 64, 0.0), 2_048)
"""The scale mini's; a test holds them together."""


def shapes_for(machine: Machine) -> Shapes:
    """True sizes on a GPU, mini's on a CPU."""
    return PAPER if machine.gpu else MINI


def on_device(model: Model, machine: Machine) -> Model:
    """The model, moved."""
    torch.nn.Module.to(model, machine.device)
    return model


def _settings(shape: Shape, vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "hidden_dropout_prob": shape.dropout,
        "attention_probs_dropout_prob": shape.dropout,
    }


def new_bert(shapes: Shapes, machine: Machine) -> BertForMaskedLM:
    """The encoder with its MLM head, float32."""
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**_settings(shapes.encoder, shapes.vocabulary)))
    return on_device(model, machine)


def new_generator(shapes: Shapes, machine: Machine) -> ElectraForMaskedLM:
    """The generator, float32."""
    torch.manual_seed(1)
    own = _settings(shapes.generator, shapes.vocabulary)
    return on_device(ElectraForMaskedLM(ElectraConfig(**own, embedding_size=shapes.generator.embedding)), machine)
