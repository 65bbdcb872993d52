"""The choice between padded and packed batches, by device and model, for training and for inference."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from simlm.data.inputs import Encoded, Specials, padded_length
from simlm.packed import ROUND_TO
from simlm.packed.attention import use_packed_attention
from simlm.packed.batch_size_limits import PACKED_STATES, texts_that_fit
from simlm.packed.cls_pooling import Inputs
from simlm.packed.forwards import has_packed_form, prepare
from simlm.packed.pack import Packer, full_parts
from simlm.packed.texts import Layout, Packed, Padded, Texts

PIECES = 2
"""Pieces of similar length in which a padded batch of a training goes through a model on the CPU."""
BATCH_TOKENS = 16_384
"""Most tokens of a padded batch without gradient, padding included."""
PACK = 65_536
"""Tokens of a pack without gradient."""
MULTIPLE = 1_024
"""On a GPU the number of texts of such a pack, with empty ones, is a multiple of this, so that compiled code is
compiled a few times only."""

Model = TypeVar("Model", bound=nn.Module)


def packs_pay(device: torch.device) -> bool:
    """Tell whether models that have a packed form compute over packs on this device."""
    return device.type == "cuda"


def reads_packs(encoder: nn.Module, device: torch.device) -> bool:
    """Tell whether an encoder computes over packs on this device; otherwise its batches are padded."""
    return packs_pay(device) and has_packed_form(encoder)


def pieces_on(device: torch.device) -> int:
    """Return in how many pieces of similar length a padded batch of a training goes through a model."""
    return 1 if device.type == "cuda" else PIECES


def training_layout(
    model: nn.Module,
    encoder: Any,
    specials: Specials,
    max_length: int,
    device: torch.device,
    most: int | None = None,
    round_to: int = ROUND_TO,
) -> Layout:
    """Return how batches are laid out to train ``model``; where they are packs, prepare its layers in place.

    Args:
        model: the module that is trained.
        encoder: the encoder inside it.
        specials: the tokenizer's special tokens.
        max_length: tokens of the longest text, for which compiled code is made.
        device: where the model is.
        most: most tokens of a pack; None for as many as fit the device, all of a batch if they do.
        round_to: on a GPU the tokens of a pack are rounded up to a multiple of this.
    """
    on_gpu = device.type == "cuda"
    if not reads_packs(encoder, device):
        use_packed_attention(model)
        return Padded(specials, pieces_on(device), texts_that_fit(encoder.config, max_length, device))
    fit = texts_that_fit(encoder.config, 1, device, PACKED_STATES)
    limits = [limit for limit in (most, fit) if limit]
    prepare(model, compiled=on_gpu)
    packer = Packer(specials.pad, min(limits, default=None))
    return Packed(replace(packer, round_to=round_to, max_length=max_length) if on_gpu else packer)


def inference_layout(
    encoder: nn.Module, specials: Specials, max_length: int, device: torch.device, pieces: int = 1
) -> Layout:
    """Return how batches are laid out to encode or score texts without gradient.

    Args:
        encoder: the encoder of the model that computes.
        specials: the tokenizer's special tokens.
        max_length: tokens of the longest text.
        device: where the model is.
        pieces: pieces of similar length of a padded batch.
    """
    if not reads_packs(encoder, device):
        return Padded(specials, pieces)
    if device.type != "cuda":
        return Packed(Packer(specials.pad, PACK, cut=full_parts))
    return Packed(Packer(specials.pad, PACK, PACK, MULTIPLE, max_length, full_parts))


def inference_copy(model: Model, encoder: nn.Module, device: torch.device) -> Model:
    """Return ``model`` itself where batches are padded, otherwise a copy that is prepared for packs.

    A copy, because padded batches of many lengths through compiled layers would compile them over and over.
    """
    if not reads_packs(encoder, device):
        return model
    own = copy.deepcopy(model)
    prepare(own, compiled=device.type == "cuda")
    return own


@dataclass(frozen=True)
class Inference:
    """Computes an output of texts, batch by batch and without gradient.

    Attributes:
        output: gives texts their vectors (N, d) or logits (N,).
        layout: how a batch is laid out.
        device: where the model is.
        half: whether products are computed in bfloat16; otherwise in the model's own type.
    """

    output: Callable[[Inputs], Tensor]
    layout: Layout
    device: torch.device
    half: bool = False

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding included."""
        return self.layout.packer.max_tokens or PACK if isinstance(self.layout, Packed) else BATCH_TOKENS

    # Code that was compiled in inference mode cannot be used outside of it, and the other way round.
    @torch.inference_mode(False)
    def collate(self, rows: Sequence[Encoded]) -> Texts:
        """Lay out a batch on the device."""
        texts = self.layout.texts(rows)
        return (texts.pin_memory() if self.device.type == "cuda" else texts).to(self.device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, texts: Texts) -> Tensor:
        """Return the output of each text of a batch, in their order."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return texts.apply(self.output)


def length_batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Cut texts with ``lengths`` (n,) into batches of at most ``batch_tokens`` tokens with padding.

    Yields the positions of a batch's texts, longest texts first. A batch holds at least one text, however long.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // padded_length(int(lengths[order[start]])))
        yield order[start : start + size]
        start += size
