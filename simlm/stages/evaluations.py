"""What is measured on a sub-pool of valid while a stage trains, to choose its checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from simlm.data.inputs import Specials
from simlm.data.store import TokenisedCollection
from simlm.finetuning.datasets import BiEncoderCollator, BiEncoderGroups, RerankerCollator, RerankerGroups
from simlm.finetuning.negatives import NegativeLists
from simlm.stages.negatives import negative_lists

if TYPE_CHECKING:
    from simlm.stages.reranker import TrainReranker
    from simlm.stages.retriever import TrainRetriever

RETRIEVER_QUERIES = 64
"""Queries whose passages are ranked together: 16 on each of 4 GPUs in the released runs."""
RERANKER_QUERIES = 16


def to_device(batch: Any, device: torch.device) -> Any:
    """Tensors of a nested batch on a device."""
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    return batch.to(device) if isinstance(batch, torch.Tensor) else batch


def first_queries(lists: NegativeLists, count: int) -> NegativeLists:
    """The lists of the first ``count`` queries."""
    count = min(count, len(lists))
    end = int(lists.offsets[count])
    return NegativeLists(
        lists.queries[:count], lists.offsets[: count + 1], lists.positives[:end], lists.negatives[:count]
    )


@dataclass(frozen=True)
class _Evaluation:
    groups: Any
    collate: Callable[[list[Any]], dict[str, Any]]
    queries_per_batch: int
    device: torch.device

    def batches(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.groups), self.queries_per_batch):
            rows = range(start, min(start + self.queries_per_batch, len(self.groups)))
            yield to_device(self.collate([self.groups[row] for row in rows]), self.device)


@dataclass(frozen=True)
class RetrieverEvaluation(_Evaluation):
    """MRR without cut-off of the positive among all passages of its evaluation batch."""

    @classmethod
    def of(
        cls, stage: "TrainRetriever", collection: TokenisedCollection, device: torch.device
    ) -> "RetrieverEvaluation":
        settings = stage.settings
        seed = settings.optimisation.seed
        lists = negative_lists(stage.negatives, "valid", settings.negatives, seed)
        groups = BiEncoderGroups(
            collection,
            "valid",
            first_queries(lists, settings.evaluation_queries),
            settings.passages_per_query,
            seed,
            settings.query_length,
            settings.passage_length,
        )
        return cls(groups, BiEncoderCollator(Specials.of(collection.tokenizer)), RETRIEVER_QUERIES, device)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        from simlm.finetuning.biencoder import BiEncoder, reciprocal_ranks

        if not isinstance(model, BiEncoder):
            raise TypeError(f"a bi-encoder is evaluated here, not a {type(model).__name__}")
        ranks = []
        for batch in self.batches():
            queries, passages = model.encode(batch["queries"]), model.encode(batch["passages"], model.buckets)
            ranks.append(reciprocal_ranks(queries, passages, len(passages) // len(queries)))
        return {"mrr": float(torch.cat(ranks).mean())}


@dataclass(frozen=True)
class RerankerEvaluation(_Evaluation):
    """Top-1 accuracy: the share of queries whose positive scores above all their negatives."""

    @classmethod
    def of(cls, stage: "TrainReranker", collection: TokenisedCollection, device: torch.device) -> "RerankerEvaluation":
        settings = stage.settings
        seed = settings.optimisation.seed
        lists = negative_lists(stage.candidates, "valid", settings.negatives, seed)
        groups = RerankerGroups(
            collection,
            "valid",
            first_queries(lists, settings.evaluation_queries),
            settings.passages_per_query,
            seed,
            settings.max_length,
        )
        collate = RerankerCollator(Specials.of(collection.tokenizer), settings.kept_passages)
        return cls(groups, collate, RERANKER_QUERIES, device)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        weights, values = [], []
        for batch in self.batches():
            weights.append(len(batch["inputs"]["input_ids"]))
            values.append(float(model(**batch)["accuracy"]))
        return {"accuracy": float(np.average(values, weights=weights))}
