"""Models with random weights: BERT-base, an ELECTRA-base generator and a re-ranker on a GPU, those of mini on a CPU."""

from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM

from benchmarks.speed.machine import Machine
from simlm.costs.model import Model

Moved = TypeVar("Moved", bound=torch.nn.Module)


@dataclass(frozen=True)
class Configs:
    """The configurations of an encoder and of a generator, which read the same pieces."""

    encoder: BertConfig
    generator: ElectraConfig

    @property
    def vocabulary(self) -> int:
        """Return the number of pieces."""
        return int(self.encoder.vocab_size)

    def sizes(self) -> tuple[Model, Model]:
        """Return the sizes of encoder and generator, for their arithmetic."""
        encoder, generator = (Model.of(one.to_dict()) for one in (self.encoder, self.generator))
        return encoder, generator


PAPER = Configs(
    BertConfig(),
    ElectraConfig(hidden_size=256, embedding_size=768, num_attention_heads=4, intermediate_size=1_024),
)
"""bert-base-uncased's values are transformers' own; the generator's are those of google/electra-base-generator."""
MINI = Configs(
    BertConfig(
        vocab_size=2_048,
        num_hidden_layers=3,
        hidden_size=128,
        num_attention_heads=2,
        intermediate_size=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
    ElectraConfig(
        vocab_size=2_048,
        num_hidden_layers=2,
        hidden_size=64,
        embedding_size=64,
        num_attention_heads=2,
        intermediate_size=256,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
)
"""The scale mini's; a test compares them."""


def configs_for(machine: Machine) -> Configs:
    """Return the sizes to measure: the paper's on a GPU, mini's on a CPU."""
    return PAPER if machine.gpu else MINI


def on_device(model: Moved, machine: Machine) -> Moved:
    """Move a model to the machine's device, and return it."""
    torch.nn.Module.to(model, machine.device)
    return model


def new_bert(machine: Machine) -> BertForMaskedLM:
    """Return an encoder with its MLM head, in float32."""
    torch.manual_seed(0)
    return on_device(BertForMaskedLM(deepcopy(configs_for(machine).encoder)), machine)


def new_generator(machine: Machine) -> ElectraForMaskedLM:
    """Return a generator, in float32."""
    torch.manual_seed(1)
    return on_device(ElectraForMaskedLM(deepcopy(configs_for(machine).generator)), machine)
