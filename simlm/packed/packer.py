"""How fine-tuning packs its texts: few shapes where code is compiled, and no more at once than there is room for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simlm.data.inputs import Encoded
from simlm.packed.inputs import Pack, even_parts, pack, shared_size
from simlm.packed.limits import SEQUENCES


@dataclass(frozen=True)
class Packer:
    """Texts -> packs, in their order.

    filler: the token that fills a pack up. round_to: tokens are rounded up to a multiple of it, and texts to one of
    ``SEQUENCES``, so that compiled code meets few shapes; 0 rounds nothing. max_length: as ``pack``'s.
    """

    filler: int
    round_to: int = 0
    max_length: int | None = None

    def packs(self, rows: Sequence[Encoded], max_tokens: int | None = None) -> tuple[Pack, ...]:
        """Packs of about equal token counts, as many as ``max_tokens`` needs (``even_parts``); one when it is None."""
        lengths = np.array([len(ids) for ids, _ in rows], dtype=np.int64)
        parts = list(even_parts(lengths, int(lengths.sum()) if max_tokens is None else max_tokens))
        tokens = shared_size((int(lengths[part].sum()) for part in parts), self.round_to)
        sequences = SEQUENCES if self.round_to else 1
        return tuple(pack(rows[part], self.filler, tokens, sequences, self.max_length) for part in parts)
