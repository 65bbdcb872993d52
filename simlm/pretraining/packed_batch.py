"""A part of a batch without padding, as objectives read it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig

from simlm.packed.forwards import Body, embedded, hidden_states, through
from simlm.packed.pack import OnDevice, Pack
from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer, sample_by_noise, sample_tokens
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.vocabulary_loss import vocabulary_loss, word_rows


@dataclass(frozen=True)
class MaskPlaces(OnDevice):
    """Where a mask is true in a pack.

    Attributes:
        positions: int64 (M,).
        weights: float32 (M,), 0 for those that round M up. Weighted sums over all packs of a batch are the mean, over
            its micro-batches, of the mean over a micro-batch's places; a last micro-batch with fewer passages weighs as
            much less.
    """

    positions: Tensor
    weights: Tensor


@dataclass(frozen=True)
class MaskedPack(OnDevice):
    """Some passages of a batch in one pack, with their masks.

    Attributes:
        pack: the passages.
        tensors: what the collator made beside the passages, by name: (1, T) instead of (B, L), 0 where the row is
            filled up, and other shapes as they were.
        places: those of each mask, and of "attention_mask".
        groups: for each micro-batch, how many of the pack's texts it has, in their order, and its share of the batch's
            loss; () where micro-batches may be cut.
    """

    pack: Pack
    tensors: dict[str, Tensor]
    places: dict[str, MaskPlaces]
    groups: tuple[tuple[int, float], ...]

    @property
    def tokens(self) -> int:
        """How many tokens are real."""
        return self.pack.tokens


class PackedBatch(Batch):
    """(tokens) are (1, T); its means are the pack's shares of them: over all packs of a batch they add up."""

    def __init__(self, masked: MaskedPack) -> None:
        self.masked = masked
        self.pack = masked.pack

    def __getitem__(self, name: str) -> Tensor:
        return self.pack.input_ids if name == "input_ids" else self.masked.tensors[name]

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
        drawn = self.drawn(rows, output, _filled_up(uniforms, len(rows)))
        read = self["input_ids"].clone()
        read[0, self.masked.places[f"{side}_mask"].positions[: len(uniforms)]] = drawn[: len(uniforms)]
        return read

    def drawn(self, rows: Tensor, output: nn.Linear, uniforms: Tensor) -> Tensor:
        """Draw a token (M,) for each of ``rows`` (M, E): on a CPU the very tokens of a padded batch."""
        return sample_by_noise(rows, output, uniforms) if rows.is_cuda else sample_tokens(output(rows), uniforms)

    def at(self, values: Tensor, mask: str) -> Tensor:
        return values.squeeze(0).index_select(0, self.masked.places[mask].positions)

    def mean(self, values: Tensor, mask: str) -> Tensor:
        return (values * self.masked.places[mask].weights).sum()

    def word_loss(self, rows: Tensor, output: nn.Linear, targets: Tensor, mask: str) -> Tensor:
        return vocabulary_loss(rows, output, _filled_up(targets, len(rows)), self.masked.places[mask].weights)

    def firsts(self, states: Tensor) -> Tensor:
        return states.squeeze(0).index_select(0, self.pack.firsts[: self.pack.texts])

    def by_group(self, loss: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Return what `Batch.by_group` does; ValueError where micro-batches may be cut."""
        if not self.masked.groups:
            raise ValueError("a loss by groups needs an objective whose whole_groups is True")
        sizes = [size for size, _ in self.masked.groups]
        pieces = zip(*(values.split(sizes) for values in rows), strict=True)
        shares = (share for _, share in self.masked.groups)
        return torch.stack([loss(*own) * share for own, share in zip(pieces, shares, strict=True)]).sum()


def _filled_up(values: Tensor, length: int) -> Tensor:
    """Append zeros to (M,): a mask's places may be more than what the collator made for them."""
    return functional.pad(values, (0, length - len(values)))
