"""A collator's padded batches as packs: the same passages, masks and numbers, and how much each masked token counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simlm.data.inputs import Encoded
from simlm.packed.inputs import OnDevice, Pack, even_parts, pack, rounded_up, shared_size
from simlm.packed.limits import SEQUENCES
from simlm.pretraining.objective import Example

PLACES = 1_024
"""A mask's places are rounded up to a multiple of it, where shapes are few."""
FILLER = 0
"""A token that nothing reads the states of: any will do."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Places(OnDevice):
    """Where a mask is true: positions (M,) in the pack, and weights float32 (M,), 0 for those that round M up.

    Weighted sums over all parts of a batch are the mean, over its groups of passages, of the mean over a group's
    places; a last group with fewer passages weighs as much less.
    """

    positions: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Part(OnDevice):
    """A part of a batch.

    tensors: what the collator made beside the passages, by name; (1, T) for (B, L), 0 where the row is filled up, and
    as it was for others. places: those of every mask, and of "attention_mask". groups: how many of the pack's sequences
    each micro-batch has, in their order, and its share of the batch's loss; () where micro-batches may be cut.
    """

    pack: Pack
    tensors: dict[str, Tensor]
    places: dict[str, Places]
    groups: tuple[tuple[int, float], ...]

    @property
    def tokens(self) -> int:
        """How many are real."""
        return self.pack.tokens


class _Piece(NamedTuple):
    """Passages of one group, without padding: (tokens,) of what was (B, L), and what was not."""

    group: int
    rows: list[Encoded]
    flat: dict[str, NDArray[Any]]
    others: dict[str, Tensor]

    @classmethod
    def of(cls, group: int, batch: Mapping[str, Tensor]) -> Self:
        real = batch["attention_mask"].bool()
        ends = list(accumulate(real.sum(dim=1).tolist()))[:-1]
        ids, types = (np.split(batch[name][real].numpy(), ends) for name in ("input_ids", "token_type_ids"))
        flat, others = {"attention_mask": real[real].numpy()}, {}
        for name, tensor in batch.items():
            if name not in INPUTS:
                if tensor.shape == real.shape:
                    flat[name] = tensor[real].numpy()
                else:
                    others[name] = tensor
        return cls(group, list(zip(ids, types, strict=True)), flat, others)

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        return {name: values for name, values in self.flat.items() if values.dtype == bool}


def _pieces(part: slice, group: int) -> Iterator[tuple[int, int]]:
    """A part of a batch, cut where groups begin."""
    for start in range(part.start - part.start % group, part.stop, group):
        yield max(start, part.start), min(start + group, part.stop)


@dataclass(frozen=True)
class PackingCollator:
    """Cuts a whole batch into packs of about equal token counts, of what ``collate`` makes of its passages.

    collate: of a ``PackableObjective``. max_tokens: of a pack; memory on the device sets it. round_to: tokens are
    rounded up to a multiple of it, and masks' places and sequences to fixed multiples, so that compiled code meets few
    shapes; 0 rounds nothing. max_length: as ``pack``'s. whole_groups: no micro-batch is cut, even if a pack has more
    than ``max_tokens`` then.
    """

    collate: Callable[[Sequence[Example]], dict[str, Tensor]]
    max_tokens: int
    round_to: int = 0
    max_length: int | None = None
    whole_groups: bool = False

    def __call__(self, examples: Sequence[Example], group: int) -> list[Part]:
        """``group``: passages whose masked tokens are averaged together, the micro-batch; the last may be smaller."""
        lengths = np.array([len(example.ids) for example in examples])
        starts = range(0, len(examples), group)
        parts = [
            [_Piece.of(start // group, self.collate(examples[start:stop])) for start, stop in _pieces(part, group)]
            for part in self._parts(lengths, starts)
        ]
        shares = [min(group, len(examples) - start) / len(examples) for start in starts]
        counts: list[dict[str, int]] = [{} for _ in shares]
        for piece in (piece for pieces in parts for piece in pieces):
            for name, mask in piece.masks().items():
                counts[piece.group][name] = counts[piece.group].get(name, 0) + int(mask.sum())
        sizes = (sum(len(ids) for piece in pieces for ids, _ in piece.rows) for pieces in parts)
        tokens = shared_size(sizes, self.round_to)
        return [self._part(pieces, shares, counts, tokens) for pieces in parts]

    def _parts(self, lengths: NDArray[np.integer[Any]], starts: range) -> Iterator[slice]:
        """Passages of each part, by their lengths (n,); ``starts`` are where groups begin."""
        if not self.whole_groups:
            return even_parts(lengths, self.max_tokens)
        bounds = [*starts, starts.stop]
        groups = even_parts(np.add.reduceat(lengths, list(starts)), self.max_tokens)
        return (slice(bounds[part.start], bounds[part.stop]) for part in groups)

    def _part(
        self,
        pieces: Sequence[_Piece],
        shares: Sequence[float],
        counts: Sequence[dict[str, int]],
        tokens: int | None,
    ) -> Part:
        rows = [row for piece in pieces for row in piece.rows]
        packed = pack(rows, FILLER, tokens, SEQUENCES if self.round_to else 1, self.max_length)
        total = packed.input_ids.shape[1]
        flat = {name: np.concatenate([piece.flat[name] for piece in pieces]) for name in pieces[0].flat}
        tensors = {
            name: torch.from_numpy(np.pad(values, (0, total - len(values))))[None] for name, values in flat.items()
        }
        for name in pieces[0].others:
            tensors[name] = torch.cat([piece.others[name] for piece in pieces])
        places = {}
        for name in pieces[0].masks():
            each = [shares[piece.group] / max(1, counts[piece.group][name]) for piece in pieces]
            places[name] = self._places(flat[name], np.repeat(each, [int(piece.flat[name].sum()) for piece in pieces]))
        groups = tuple((len(piece.rows), shares[piece.group]) for piece in pieces) if self.whole_groups else ()
        return Part(packed, tensors, places, groups)

    def _places(self, mask: NDArray[np.bool_], weights: NDArray[np.float64]) -> Places:
        """More positions, where they are rounded up, repeat the first; none stay none."""
        positions = np.flatnonzero(mask)
        if self.round_to and len(positions):
            more = rounded_up(len(positions), PLACES) - len(positions)
            positions = np.pad(positions, (0, more), constant_values=positions[0])
            weights = np.pad(weights, (0, more))
        return Places(torch.from_numpy(positions), torch.from_numpy(weights.astype(np.float32)))
