"""Models with random weights and their updates: BERT-base and an ELECTRA-base generator on a GPU, mini's on a CPU."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM

from benchmarks.speed.measure import Machine, Work
from simlm.costs.model import Model

Moved = TypeVar("Moved", bound=nn.Module)


@dataclass(frozen=True)
class Configs:
    """The configurations of an encoder and of a generator, which read the same pieces."""

    encoder: BertConfig
    generator: ElectraConfig

    @property
    def vocabulary(self) -> int:
        """Return the number of pieces."""
        return int(self.encoder.vocab_size)

    @property
    def encoder_size(self) -> Model:
        """Return the encoder's size, for its arithmetic."""
        return Model.of(self.encoder.to_dict())

    @property
    def generator_size(self) -> Model:
        """Return the generator's size, for its arithmetic."""
        return Model.of(self.generator.to_dict())


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
    nn.Module.to(model, machine.device)
    return model


def new_bert(machine: Machine) -> BertForMaskedLM:
    """Return an encoder with its MLM head, in float32."""
    torch.manual_seed(0)
    return on_device(BertForMaskedLM(deepcopy(configs_for(machine).encoder)), machine)


def new_generator(machine: Machine) -> ElectraForMaskedLM:
    """Return a generator, in float32."""
    torch.manual_seed(1)
    return on_device(ElectraForMaskedLM(deepcopy(configs_for(machine).generator)), machine)


def updating(weights: Sequence[nn.Parameter], backwards: Sequence[Work], rate: float, fused: bool) -> Work:
    """Return what does an update after each of `backwards`, which computes a loss and its gradients."""
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0, fused=fused or None)

    def updates() -> None:
        for backward in backwards:
            optimizer.zero_grad()
            backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()

    return updates
