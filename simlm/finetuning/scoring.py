"""Re-ranker logits for many (query, passage) pairs, for teacher scores and for re-ranking."""

import numpy as np
import numpy.typing as npt
import torch

from simlm.distributed import processes, rank, summed
from simlm.finetuning.datasets import Pairs
from simlm.finetuning.negatives import Indices
from simlm.packed.layouts import Inference, length_batches


class PairScorer:
    """``scorer(queries, passages)`` returns the raw logits of m pairs, float32 (m), given as two int64 index arrays.

    The pairs of a call are sorted by length, longest first, so that batches hold little padding and memory runs out, if
    at all, at the start. A call keeps its m encoded pairs in memory: hand over large tables in blocks.

    Args:
        score: the re-ranker, in evaluation mode.
        pairs: makes the inputs of a pair.
        batch_tokens: most tokens of a batch, padding included; None for what ``score`` says.
        together: whether several processes (`simlm.distributed`) call at once with the same pairs, take the batches in
            turn, and all get all scores.
    """

    def __init__(self, score: Inference, pairs: Pairs, batch_tokens: int | None = None, together: bool = False) -> None:
        self.score = score
        self.pairs = pairs
        self.batch_tokens = score.batch_tokens if batch_tokens is None else batch_tokens
        self.together = together

    def __call__(self, queries: Indices, passages: Indices) -> npt.NDArray[np.float32]:
        encoded = [self.pairs(q, p) for q, p in zip(queries.tolist(), passages.tolist(), strict=True)]
        lengths = np.array([len(ids) for ids, _ in encoded], dtype=np.int64)
        scores = np.zeros(len(encoded), dtype=np.float32)
        for number, places in enumerate(length_batches(lengths, self.batch_tokens)):
            if not self.together or number % processes() == rank():
                batch = self.score.collate([encoded[place] for place in places.tolist()])
                scores[places] = self.score(batch).cpu().numpy()
        return summed(torch.from_numpy(scores).to(self.score.device)).cpu().numpy() if self.together else scores
