"""Re-ranker logits for many (query, passage) pairs: teacher scores and re-ranking take them from here."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from simlm.data.inputs import Encoded, batch_inputs, padded_length
from simlm.distributed import processes, rank, summed
from simlm.finetuning.datasets import Pairs
from simlm.finetuning.negatives import Indices
from simlm.finetuning.reranker import Reranker

if TYPE_CHECKING:
    from simlm.packed.inference import OverPacks


class PairScorer:
    """`scorer(queries, passages)` -> float32 (m) raw logits of m pairs, given as two int64 index arrays.

    batch_tokens: most tokens of a batch, padding included. Pairs of a call are sorted by length, longest
    first, so that batches hold little padding and memory runs out, if at all, at the start. A call keeps its
    m encoded pairs in memory: hand over large tables in blocks. The model runs in eval mode, on its own
    device.
    together: several processes (`simlm.distributed`) call at once with the same pairs, take the batches in turn, and
    all get the scores of one process.
    packed: what scores a batch's pairs without padding, ``reranker``'s packed form.
    """

    def __init__(
        self,
        reranker: Reranker,
        pairs: Pairs,
        batch_tokens: int,
        together: bool = False,
        packed: "OverPacks | None" = None,
    ) -> None:
        self.reranker = reranker
        self.packed = packed
        self.pairs = pairs
        self.batch_tokens = batch_tokens
        self.together = together

    @torch.inference_mode()
    def __call__(self, queries: Indices, passages: Indices) -> npt.NDArray[np.float32]:
        self.reranker.eval()
        device = next(self.reranker.parameters()).device
        encoded = [self.pairs(q, p) for q, p in zip(queries.tolist(), passages.tolist(), strict=True)]
        lengths = np.array([len(ids) for ids, _ in encoded], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        scores = np.zeros(len(encoded), dtype=np.float32)
        start = number = 0
        while start < len(order):
            longest = padded_length(int(lengths[order[start]]))
            rows = order[start : start + max(1, self.batch_tokens // longest)]
            if not self.together or number % processes() == rank():
                scores[rows] = self._logits([encoded[row] for row in rows.tolist()], device).cpu().numpy()
            start, number = start + len(rows), number + 1
        return summed(torch.from_numpy(scores).to(device)).cpu().numpy() if self.together else scores

    def _logits(self, batch: list[Encoded], device: torch.device) -> torch.Tensor:
        if self.packed is not None:
            return self.packed(self.packed.collate(batch, self.pairs.max_length))
        inputs = batch_inputs(batch, self.pairs.specials)
        return self.reranker.score({name: tensor.to(device) for name, tensor in inputs.items()})
