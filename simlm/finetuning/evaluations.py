"""What is measured on some queries of valid while a model trains, to choose its checkpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simlm.data.inputs import Encoded
from simlm.finetuning.biencoder import BiEncoder, BiEncoderGroup
from simlm.finetuning.datasets import BiEncoderGroups, RerankerGroups
from simlm.finetuning.losses import group_reciprocal_ranks, reciprocal_ranks, top_1_accuracy
from simlm.finetuning.reranker import Reranker
from simlm.packed.layouts import Inference
from simlm.packed.texts import Layout
from simlm.retrieval.runs import Run

RETRIEVER_QUERIES = 64
"""Queries whose passages are ranked together: 16 on each of 4 GPUs in the released runs."""
RERANKER_QUERIES = 16


@dataclass(frozen=True)
class RetrieverEvaluation:
    """Measures the MRR, without cut-off, of each query's positive among all passages of its batch."""

    groups: BiEncoderGroups
    layout: Layout
    device: torch.device
    half: bool = False

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, BiEncoder)
        encode = Inference(model.encode, self.layout, self.device, self.half)
        ranks = []
        for groups in _batches(self.groups, RETRIEVER_QUERIES):
            queries, passages = self._vectors(encode, groups)
            ranks.append(reciprocal_ranks(queries, passages, len(passages) // len(queries)))
        return {"mrr": float(torch.cat(ranks).mean())}

    def _vectors(self, encode: Inference, groups: list[BiEncoderGroup]) -> tuple[Tensor, Tensor]:
        queries = [group.query for group in groups]
        sides = self.layout.sides(queries, [passage for group in groups for passage in group.passages])
        vectors = torch.cat([encode(texts.to(self.device)) for texts in sides])
        return vectors[: len(groups)], vectors[len(groups) :]


@dataclass(frozen=True)
class RerankerEvaluation:
    """Measures top-1 accuracy, the share of queries whose positive scores above all their negatives, and its MRR."""

    groups: RerankerGroups
    layout: Layout
    device: torch.device
    half: bool = False

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Reranker)
        score = Inference(model.score, self.layout, self.device, self.half)
        found = []
        for groups in _batches(self.groups, RERANKER_QUERIES):
            pairs: list[Encoded] = [pair for group in groups for pair in group]
            found.append(score(score.collate(pairs)).view(len(groups), -1))
        scores = torch.cat(found)  # (queries, n)
        return {"accuracy": float(top_1_accuracy(scores)), "mrr": float(group_reciprocal_ranks(scores).mean())}


def mrr_of_run(groups: RerankerGroups, run: Run) -> float:
    """Return the MRR of each group's positive by a run's scores; passages outside the run rank last, ties against it.

    Args:
        groups: positives first.
        run: of the groups' split; its queries are in the store's order.
    """
    scores = np.full((len(groups), groups.n), -np.inf, dtype=np.float32)
    for row in range(len(groups)):
        query, passages = groups.drawn(row)
        places = run.indices[query][None] == passages[:, None]  # (n, depth)
        inside = places.any(axis=1)
        scores[row, inside] = run.scores[query][places.argmax(axis=1)[inside]]
    return float(group_reciprocal_ranks(torch.from_numpy(scores)).mean())


def _batches(groups: Any, size: int) -> Iterator[list[Any]]:
    for start in range(0, len(groups), size):
        yield [groups[row] for row in range(start, min(start + size, len(groups)))]
