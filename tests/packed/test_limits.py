"""How many shapes compiled code meets in a pre-training, whose batches have passages of like length."""

import numpy as np

from simlm.data.batching import LengthBucketedSampler
from simlm.packed.forwards import RECOMPILE_LIMIT
from simlm.packed.inputs import even_parts, rounded_up, shared_size
from simlm.packed.limits import MAX_TOKENS, ROUND_TO, SEQUENCES

LONGEST, BATCH = 144, 2_048


def shapes(max_tokens: int) -> set[tuple[int, int]]:
    """Of an epoch over a million passages whose lengths are as MS MARCO's: tokens and sequences of a pack."""
    lengths = np.random.default_rng(0).lognormal(np.log(68), 0.4, 1_000_000).clip(8, LONGEST).astype(np.int64)
    found = set()
    for batch in LengthBucketedSampler(lengths, BATCH, 0, drop_last=True):
        own = lengths[batch]
        parts = list(even_parts(own, max_tokens))
        tokens = shared_size((int(own[part].sum()) for part in parts), ROUND_TO)
        assert tokens is not None
        for part in parts:
            fillers = -(-(tokens - int(own[part].sum())) // LONGEST)
            found.add((tokens, rounded_up(part.stop - part.start + fillers, SEQUENCES)))
    return found


def test_compiled_code_meets_few_shapes() -> None:
    """Fewer than are compiled for, since evaluations compile for theirs too; with less memory packs are smaller."""
    for max_tokens in (MAX_TOKENS, 40_000, 20_000):
        assert len(shapes(max_tokens)) < 0.75 * RECOMPILE_LIMIT
