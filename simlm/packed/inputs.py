"""From passages to packs: one row of tokens without padding, with the boundaries of its sequences."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simlm.data.inputs import Encoded


def rounded_up(number: int, multiple_of: int) -> int:
    """The next multiple."""
    return -(-number // multiple_of) * multiple_of


class OnDevice:
    """A frozen dataclass whose tensors, and those of its parts, tuples of parts and dictionaries, move together."""

    def to(self, device: torch.device | str) -> Self:
        """The same on another device; copies from pinned memory do not wait."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same in page-locked memory; a DataLoader with ``pin_memory`` calls it."""
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
    """S sequences in one row of T tokens; the first ``passages`` of them are real.

    input_ids, token_type_ids, position_ids: int64 (1, T); positions begin at 0 in every sequence.
    cu_seq_lens: int32 (S + 1,), where each sequence begins, and T; the last sequences may be empty.
    max_length: no sequence is longer. tokens: how many are real.
    Sequences after the real ones fill the row up to a round number of tokens; nothing reads their states.
    """

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int
    passages: int
    tokens: int

    @property
    def bounds(self) -> dict[str, Any]:
        """What the layers hand to ``packed_attention``."""
        return {"cu_seq_lens": self.cu_seq_lens, "max_length": self.max_length}

    def without_types(self) -> "Pack":
        """The same with token type 0 everywhere, as the decoder reads it."""
        return replace(self, token_type_ids=torch.zeros_like(self.token_type_ids))

    @property
    def firsts(self) -> Tensor:
        """(S,) int64: where each sequence's [CLS] is; the last token for empty sequences."""
        return self.cu_seq_lens[:-1].long().clamp_max(self.input_ids.shape[1] - 1)


def pack(
    rows: Sequence[Encoded], filler: int, tokens: int | None = None, sequences: int = 1, max_length: int | None = None
) -> Pack:
    """One pack of ``rows`` in their order.

    tokens: T, filled up with sequences of the token ``filler``; as many as the rows have when None.
    sequences: S is rounded up to a multiple of it. max_length: the longest row's length when None; a round number
    keeps compiled code from being compiled anew. ValueError when the rows do not fit.
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


def even_parts(lengths: NDArray[np.integer[Any]], max_tokens: int) -> Iterator[slice]:
    """Cut a batch of rows of ``lengths`` (n,) into runs of about equal token counts.

    As many parts as ``max_tokens`` needs; none has more than the even share and one row beyond it.
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


def shared_size(tokens: Iterable[int], round_to: int) -> int | None:
    """The one size, in tokens, of packs with so many real ones: the most of them, rounded up; None rounds nothing."""
    return rounded_up(max(tokens, default=1), round_to) if round_to else None


def full_parts(lengths: NDArray[np.integer[Any]], max_tokens: int) -> Iterator[slice]:
    """Cut rows of ``lengths`` (n,) into runs that hold as many as fit ``max_tokens``; at least one each."""
    start, held = 0, 0
    for number, length in enumerate(lengths.tolist()):
        if number > start and held + length > max_tokens:
            yield slice(start, number)
            start, held = number, 0
        held += length
    if start < len(lengths):
        yield slice(start, len(lengths))
