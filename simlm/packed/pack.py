"""A pack: texts end to end in one row of tokens, without padding, and where each of them begins."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simlm.data.inputs import Encoded
from simlm.packed import SEQUENCES

Lengths = NDArray[np.integer[Any]]
Cut = Callable[[Lengths, int], Iterator[slice]]
"""Cuts rows with lengths (n,) into runs of at most about so many tokens: `even_parts` or `full_parts`."""


class OnDevice:
    """Base of frozen dataclasses whose tensors move to a device together, also those in nested fields."""

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on another device; copies from pinned memory do not wait."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return a copy in page-locked memory; a DataLoader with ``pin_memory`` calls this."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: _changed(getattr(self, field.name), change) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **values)  # type: ignore[type-var]


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, OnDevice):
        return value._mapped(change)
    if isinstance(value, tuple):
        return tuple(_changed(one, change) for one in value)
    if isinstance(value, dict):
        return {name: _changed(one, change) for name, one in value.items()}
    return value


@dataclass(frozen=True)
class Pack(OnDevice):
    """S sequences in one row of T tokens; the first ``texts`` of them are real.

    The sequences after the real ones fill the row up to a round number of tokens; nothing reads their states.

    Attributes:
        input_ids, token_type_ids, position_ids: int64 (1, T); positions begin at 0 in every sequence.
        cu_seq_lens: int32 (S + 1,), where each sequence begins, and T at the end; the last sequences may be empty.
        max_length: no sequence is longer than so many tokens.
        texts: how many sequences are real.
        tokens: how many tokens are real.
    """

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int
    texts: int
    tokens: int

    @property
    def bounds(self) -> dict[str, Any]:
        """The keyword arguments that the layers hand on to `simlm.packed.attention.packed_attention`."""
        return {"cu_seq_lens": self.cu_seq_lens, "max_length": self.max_length}

    def without_types(self) -> "Pack":
        """Return the same pack with token type 0 everywhere, as the bottleneck's decoder reads it."""
        return replace(self, token_type_ids=torch.zeros_like(self.token_type_ids))

    @property
    def firsts(self) -> Tensor:
        """Where the [CLS] of each sequence stands, int64 (S,); the last token for empty sequences."""
        return self.cu_seq_lens[:-1].long().clamp_max(self.input_ids.shape[1] - 1)


def pack(
    rows: Sequence[Encoded], filler: int, tokens: int | None = None, sequences: int = 1, max_length: int | None = None
) -> Pack:
    """Pack texts in their order.

    Args:
        rows: token ids and token types of each text.
        filler: the token that fills the row up.
        tokens: T; None for as many as the texts have.
        sequences: S is rounded up to a multiple of this.
        max_length: the most tokens of a sequence; None for the longest text's. A fixed number keeps compiled code from
            being compiled again.

    Raises:
        ValueError: if the texts do not fit ``tokens`` and ``max_length``.
    """
    lengths = [len(ids) for ids, _ in rows]
    longest = max(lengths, default=1) if max_length is None else max_length
    real = sum(lengths)
    total = real if tokens is None else tokens
    if real > total or max(lengths, default=0) > longest:
        raise ValueError(f"{real} tokens, up to {max(lengths, default=0)} a row, do not fit {total} and {longest}")
    full, rest = divmod(total - real, longest)
    lengths += [longest] * full + [rest] * (rest > 0)
    lengths += [0] * (rounded_up(max(1, len(lengths)), sequences) - len(lengths))
    ids = np.full(total, filler, dtype=np.int64)
    types = np.zeros(total, dtype=np.int64)
    if rows:
        ids[:real] = np.concatenate([row for row, _ in rows])
        types[:real] = np.concatenate([row for _, row in rows])
    ends = np.cumsum(lengths)
    positions = np.arange(total) - np.repeat(ends - lengths, lengths)
    bounds = np.concatenate(([0], ends)).astype(np.int32)
    row = [torch.from_numpy(values)[None] for values in (ids, types, positions)]
    return Pack(row[0], row[1], row[2], torch.from_numpy(bounds), longest, len(rows), real)


def rounded_up(number: int, multiple_of: int) -> int:
    """Return the smallest multiple that is not below ``number``."""
    return -(-number // multiple_of) * multiple_of


def shared_size(tokens: Iterable[int], round_to: int) -> int | None:
    """Return one size for packs with so many real tokens: the most of them, rounded up; None if nothing is rounded."""
    return rounded_up(max(tokens, default=1), round_to) if round_to else None


def even_parts(lengths: Lengths, max_tokens: int) -> Iterator[slice]:
    """Cut rows of ``lengths`` (n,) into runs of about equal token counts.

    There are as many parts as ``max_tokens`` needs; none has more than the even share and one row beyond it.
    """
    total = int(lengths.sum())
    share = -(-total // max(1, -(-total // max(1, max_tokens))))
    start, held = 0, 0
    for number, length in enumerate(lengths.tolist()):
        held += length
        if held >= share:
            yield slice(start, number + 1)
            start, held = number + 1, 0
    if start < len(lengths):
        yield slice(start, len(lengths))


def full_parts(lengths: Lengths, max_tokens: int) -> Iterator[slice]:
    """Cut rows of ``lengths`` (n,) into runs that each hold as many as fit ``max_tokens``, at least one."""
    start, held = 0, 0
    for number, length in enumerate(lengths.tolist()):
        if number > start and held + length > max_tokens:
            yield slice(start, number)
            start, held = number, 0
        held += length
    if start < len(lengths):
        yield slice(start, len(lengths))


@dataclass(frozen=True)
class Packer:
    """Makes packs of texts, in their order.

    Attributes:
        filler: the token that fills packs up.
        max_tokens: most tokens of a pack, up to a text more; None for all texts in one pack.
        round_to: the tokens of a pack are rounded up to a multiple of it, so that compiled code meets few shapes; 0
            rounds nothing, also not the number of texts.
        sequences: where packs are rounded, their number of texts is a multiple of this.
        max_length: as in `pack`.
        cut: how texts are dealt to several packs.
    """

    filler: int
    max_tokens: int | None = None
    round_to: int = 0
    sequences: int = SEQUENCES
    max_length: int | None = None
    cut: Cut = even_parts

    def __call__(self, rows: Sequence[Encoded]) -> tuple[Pack, ...]:
        """Return as few packs of the texts as ``max_tokens`` allows; all have one size where sizes are rounded."""
        lengths = np.array([len(ids) for ids, _ in rows], dtype=np.int64)
        parts = list(self.cut(lengths, int(lengths.sum()) if self.max_tokens is None else self.max_tokens))
        tokens = shared_size((int(lengths[part].sum()) for part in parts), self.round_to)
        sequences = self.sequences if self.round_to else 1
        return tuple(pack(rows[part], self.filler, tokens, sequences, self.max_length) for part in parts)
