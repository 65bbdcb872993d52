"""A collator's padded batch as packs: the same passages, masks and numbers, and how much each masked token counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertForMaskedLM

from simlm.data.inputs import Encoded
from simlm.packed import MAX_TOKENS, ROUND_TO, SEQUENCES, layouts
from simlm.packed.attention import use_packed_attention
from simlm.packed.batch_size_limits import BOTTLENECK_STATES, texts_that_fit
from simlm.packed.forwards import prepare
from simlm.packed.pack import even_parts, pack, rounded_up, shared_size
from simlm.pretraining.objective import Example, Objective, PackableObjective
from simlm.pretraining.packed_batch import MaskedPack, MaskPlaces
from simlm.training.batches import MicroBatches, Packs

PLACES = 1_024
"""Where shapes are to be few, the number of a mask's places is rounded up to a multiple of it."""
FILLER = 0
"""A token whose states nothing reads: any will do."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def batches_of(objective: Objective, max_length: int, device: torch.device) -> MicroBatches | Packs:
    """Return how an objective's examples become batches; where they are packs, prepare its layers in place.

    Args:
        objective: on its device.
        max_length: tokens of the longest passage, for which compiled code is made.
        device: where the objective is.
    """
    # An objective with a forward of its own computes its losses from padded batches there.
    own = type(objective).forward is not PackableObjective.forward
    if own or not isinstance(objective, PackableObjective) or not layouts.packs_pay(device):
        use_packed_attention(objective)
        return MicroBatches(objective.collator)
    on_gpu = device.type == "cuda"
    fit = texts_that_fit(objective.encoder.config, 1, device, BOTTLENECK_STATES)
    prepare(objective, compiled=on_gpu)
    if on_gpu and isinstance(objective.encoder, BertForMaskedLM):
        objective.encoder.cls.predictions.transform.compile(dynamic=False)
    return Packs(
        PackingCollator(
            objective.collator,
            min(MAX_TOKENS, fit) if fit else MAX_TOKENS,
            round_to=ROUND_TO if on_gpu else 0,
            max_length=max_length if on_gpu else None,
            whole_groups=objective.whole_groups,
        )
    )


class _Piece(NamedTuple):
    """Passages of one micro-batch without padding: (tokens,) of what was (B, L), and what had another shape."""

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
    """Cut a part of a batch where micro-batches begin."""
    for start in range(part.start - part.start % group, part.stop, group):
        yield max(start, part.start), min(start + group, part.stop)


@dataclass(frozen=True)
class PackingCollator:
    """Cuts a batch into packs of about equal token counts, of what a padding collator makes of its passages.

    Attributes:
        collate: the collator of a `PackableObjective`.
        max_tokens: most tokens of a pack; the device's memory sets it.
        round_to: tokens are rounded up to a multiple of it, and masks' places and texts to fixed multiples, so that
            compiled code meets few shapes; 0 rounds nothing.
        max_length: as in `pack`.
        whole_groups: whether no micro-batch is cut, even if a pack then has more than ``max_tokens``.
    """

    collate: Callable[[Sequence[Example]], dict[str, Tensor]]
    max_tokens: int
    round_to: int = 0
    max_length: int | None = None
    whole_groups: bool = False

    def __call__(self, examples: Sequence[Example], group: int) -> list[MaskedPack]:
        """Return the packs of a batch.

        ``group`` is the number of passages of a micro-batch, whose masked tokens are averaged together; the last may be
        smaller.
        """
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
        """Cut passages with lengths (n,) into packs; ``starts`` are where micro-batches begin."""
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
    ) -> MaskedPack:
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
        return MaskedPack(packed, tensors, places, groups)

    def _places(self, mask: NDArray[np.bool_], weights: NDArray[np.float64]) -> MaskPlaces:
        """Find a mask's places; where they are rounded up, more positions repeat the first, and none stay none."""
        positions = np.flatnonzero(mask)
        if self.round_to and len(positions):
            more = rounded_up(len(positions), PLACES) - len(positions)
            positions = np.pad(positions, (0, more), constant_values=positions[0])
            weights = np.pad(weights, (0, more))
        return MaskPlaces(torch.from_numpy(positions), torch.from_numpy(weights.astype(np.float32)))
