"""Dropout by a hash of each value's place: on a GPU torch's own random numbers take longer than the layer around them.

The hash is a dozen integer operations that compiled code fuses with its neighbours and computes again in the backward
pass, so that no mask is kept. Its key comes from torch's generator of the device: whoever restores that, as gradient
caching does, gets the same values dropped.
"""

import torch
from torch import Tensor, nn


def mixed(bits: Tensor) -> Tensor:
    """A bijection of int32 in which every bit depends on every other (Wellons' lowbias32)."""
    bits = bits ^ ((bits >> 16) & 0xFFFF)
    bits = bits * 0x7FEB352D
    bits = bits ^ ((bits >> 15) & 0x1FFFF)
    bits = bits * (0x846CA68B - (1 << 32))
    return bits ^ ((bits >> 16) & 0xFFFF)


@torch.library.custom_op("simlm::hash_key", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def hash_key(beside: Tensor) -> Tensor:
    """Two random int32 (2,) on the device of ``beside``: an operator, which compiled code does not repeat."""
    return torch.empty(2, dtype=torch.int32, device=beside.device).random_(-(1 << 31), 1 << 31)


@hash_key.register_fake
def _(beside: Tensor) -> Tensor:
    return beside.new_empty(2, dtype=torch.int32)


def kept(shape: torch.Size, key: Tensor, rate: float) -> Tensor:
    """Whether each value stays: bool of ``shape``, true with probability 1 - ``rate``. key: int32 (2,)."""
    places = torch.arange(shape.numel(), dtype=torch.int32, device=key.device).view(shape)
    bits = mixed(mixed(places ^ key[0]) ^ key[1])
    return (bits & 0x7FFFFFFF) >= round(rate * 2**31)


class HashedDropout(nn.Dropout):
    """As torch's, of at most 2^31 values at a time."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not self.p:
            return input
        stays = kept(input.shape, hash_key(input), self.p)
        return torch.where(stays, input * (1 / (1 - self.p)), 0.0)
