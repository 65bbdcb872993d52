"""A part of a batch without padding, as objectives read it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig

from simlm.packed.forwards import embedded, hidden_states, through
from simlm.packed.parts import Part
from simlm.packed.sampling import sample_rows
from simlm.packed.vocabulary import weighted_vocabulary_loss
from simlm.pretraining.batch import Batch, Body
from simlm.pretraining.generator import Replacer
from simlm.pretraining.head_loss import word_rows
from simlm.pretraining.model import BottleneckModel


class PackedBatch(Batch):
    """(tokens) are (1, T); its means are the part's shares of them: over all parts of a batch they add up.

    gumbel: how a generator's tokens are drawn (``sample_rows``).
    """

    def __init__(self, part: Part, gumbel: bool = False) -> None:
        self.part = part
        self.pack = part.pack
        self.gumbel = gumbel

    def __getitem__(self, name: str) -> Tensor:
        return self.pack.input_ids if name == "input_ids" else self.part.tensors[name]

    def encode(self, body: Body, input_ids: Tensor) -> Tensor:
        return hidden_states(body, self.pack, input_ids)

    def encode_twice(self, body: Body, input_ids: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        layers = list(body.encoder.layer)
        middle = through(layers[:layer], embedded(body, self.pack, input_ids), self.pack)
        return middle, through(layers[layer:], middle, self.pack)

    def bridge(self, layers: nn.ModuleList, config: PretrainedConfig, late: Tensor, states: Tensor) -> Tensor:
        return self._bridged(layers, late, states)

    def decode(self, model: BottleneckModel, hidden: Tensor, input_ids: Tensor) -> Tensor:
        own = embedded(model.encoder.bert, self.pack.without_types(), input_ids)  # token type 0 everywhere
        return self._bridged(model.decoder, hidden, own)

    def _bridged(self, layers: nn.ModuleList, late: Tensor, states: Tensor) -> Tensor:
        first = (self.pack.position_ids == 0).unsqueeze(-1)  # (1, T, 1)
        return through(layers, torch.where(first, late.to(states.dtype), states), self.pack)

    @torch.no_grad()
    def replaced(self, replacer: Replacer, side: str) -> Tensor:
        generator, mask = replacer.generator, f"{side}_mask"
        hidden = self.encode(generator.electra, self["input_ids"].masked_fill(self[mask], replacer.mask_token))
        rows, output = word_rows(generator, self.at(hidden, mask))
        return self.sampled(rows, output, side)

    @torch.no_grad()
    def sampled(self, rows: Tensor, output: nn.Linear, side: str) -> Tensor:
        uniforms = self[f"{side}_uniforms"]
        drawn = sample_rows(rows, output, _filled_up(uniforms, len(rows)), self.gumbel)
        read = self["input_ids"].clone()
        read[0, self.part.places[f"{side}_mask"].positions[: len(uniforms)]] = drawn[: len(uniforms)]
        return read

    def at(self, values: Tensor, mask: str) -> Tensor:
        return values.squeeze(0).index_select(0, self.part.places[mask].positions)

    def mean(self, values: Tensor, mask: str) -> Tensor:
        return (values * self.part.places[mask].weights).sum()

    def word_loss(self, rows: Tensor, output: nn.Linear, targets: Tensor, mask: str) -> Tensor:
        weights = self.part.places[mask].weights
        return weighted_vocabulary_loss(rows, output, _filled_up(targets, len(rows)), weights)

    def firsts(self, states: Tensor) -> Tensor:
        return states.squeeze(0).index_select(0, self.pack.firsts[: self.pack.passages])

    def by_group(self, loss: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """ValueError where micro-batches may be cut."""
        if not self.part.groups:
            raise ValueError("a loss by groups needs an objective whose whole_groups is True")
        sizes = [size for size, _ in self.part.groups]
        pieces = zip(*(values.split(sizes) for values in rows), strict=True)
        return torch.stack([loss(*own) * share for own, (_, share) in zip(pieces, self.part.groups, strict=True)]).sum()


def _filled_up(values: Tensor, length: int) -> Tensor:
    """(M,) and zeros: a mask's places may be more than what the collator made for them."""
    return functional.pad(values, (0, length - len(values)))
