"""Packs and padded batches of the same rows, and how near two results are."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from simlm.data.inputs import Encoded, Specials, batch_inputs
from simlm.packed.pack import Pack, Packer, pack
from simlm.packed.texts import PaddedTexts
from tests.pretraining.toys import CLS, FIRST_WORD, MASK, PAD, SEP, UNK, VOCABULARY

SPECIALS = Specials(cls=CLS, sep=SEP, pad=PAD, unk=UNK, mask=MASK)
LENGTHS = [22, 3, 17, 9, 30, 12]


def row(seed: int, length: int) -> Encoded:
    generator = np.random.default_rng(seed)
    ids = generator.integers(FIRST_WORD, len(VOCABULARY), length).astype(np.int32)
    ids[0], ids[-1] = CLS, SEP
    types = (np.arange(length) > length // 2).astype(np.int8)
    return ids, types


PASSAGES = [row(200 + number, 4 + 7 * number % 13) for number in range(12)]
PACKERS = [Packer(PAD), Packer(PAD, round_to=64, max_length=40)]
"""Packs of the texts alone, and with filler and empty texts as compiled code gets them."""


def rows_of(lengths: Sequence[int] = LENGTHS) -> list[Encoded]:
    return [row(number, length) for number, length in enumerate(lengths)]


def padded(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    return batch_inputs(rows, SPECIALS)


def padded_texts(rows: Sequence[Encoded], pieces: int = 1, chunk: int = 0) -> PaddedTexts:
    return PaddedTexts(padded(rows), pieces, chunk)


def filled(rows: Sequence[Encoded]) -> Pack:
    """A pack with filler sequences and empty ones, as compiled code gets it."""
    return pack(rows, PAD, tokens=256, sequences=16, max_length=40)


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}


def assert_near(one: dict[str, Tensor], other: dict[str, Tensor], relative: float = 1e-5) -> None:
    """Every tensor within ``relative`` of the other's largest entry, or both next to nothing beside the rest."""
    assert one.keys() == other.keys()
    # Gradients of key biases and of the last bias are 0: what is left is rounding error of the others' size.
    floor = 5e-2 * max(float(tensor.detach().abs().max()) for tensor in other.values())
    for name, tensor in one.items():
        error = float((tensor - other[name]).abs().max())
        assert error <= relative * max(floor, float(other[name].abs().max())), (name, error)


def relative_error(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).norm() / other.double().norm())
