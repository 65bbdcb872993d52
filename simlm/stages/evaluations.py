"""What is measured on a sub-pool of valid while a stage trains, to choose its checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from simlm.data.inputs import Encoded, Specials
from simlm.data.store import TokenisedCollection
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.datasets import (
    BiEncoderCollator,
    BiEncoderGroup,
    BiEncoderGroups,
    RerankerCollator,
    RerankerGroups,
)
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.ranking import reciprocal_ranks, top_1_accuracy
from simlm.finetuning.reranker import Reranker
from simlm.packed.biencoder import PackedBiEncoder
from simlm.packed.inference import OverPacks
from simlm.packed.inputs import Pack
from simlm.packed.reranker import PackedReranker
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
    """``packed``: the model's layers read packs (`simlm.packed.forwards.prepare`), so that no batch is padded."""

    groups: Any
    collate: Callable[[list[Any]], dict[str, Any]]
    queries_per_batch: int
    device: torch.device
    specials: Specials
    max_length: int
    packed: bool

    def batches(self) -> Iterator[list[Any]]:
        for start in range(0, len(self.groups), self.queries_per_batch):
            rows = range(start, min(start + self.queries_per_batch, len(self.groups)))
            yield [self.groups[row] for row in rows]

    def padded(self, groups: list[Any]) -> dict[str, Any]:
        inputs: dict[str, Any] = to_device(self.collate(groups), self.device)
        return inputs

    def over_packs(self, output: Callable[[Pack], torch.Tensor], rows: list[Encoded]) -> torch.Tensor:
        return OverPacks(output, self.specials.pad, self.device).of(rows, self.max_length)


@dataclass(frozen=True)
class RetrieverEvaluation(_Evaluation):
    """MRR without cut-off of the positive among all passages of its evaluation batch."""

    @classmethod
    def of(
        cls, stage: "TrainRetriever", collection: TokenisedCollection, device: torch.device, packed: bool
    ) -> "RetrieverEvaluation":
        settings, specials = stage.settings, Specials.of(collection.tokenizer)
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
        longest = max(settings.query_length, settings.passage_length)
        return cls(groups, BiEncoderCollator(specials), RETRIEVER_QUERIES, device, specials, longest, packed)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        if not isinstance(model, BiEncoder):
            raise TypeError(f"a bi-encoder is evaluated here, not a {type(model).__name__}")
        ranks = []
        for groups in self.batches():
            queries, passages = self._vectors(model, groups)
            ranks.append(reciprocal_ranks(queries, passages, len(passages) // len(queries)))
        return {"mrr": float(torch.cat(ranks).mean())}

    def _vectors(self, model: BiEncoder, groups: list[BiEncoderGroup]) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.packed:
            batch = self.padded(groups)
            return model.encode(batch["queries"]), model.encode(batch["passages"], model.buckets)
        rows = [group.query for group in groups] + [one for group in groups for one in group.passages]
        vectors = self.over_packs(PackedBiEncoder(model).encode, rows)
        return vectors[: len(groups)], vectors[len(groups) :]


@dataclass(frozen=True)
class RerankerEvaluation(_Evaluation):
    """Top-1 accuracy: the share of queries whose positive scores above all their negatives."""

    @classmethod
    def of(
        cls, stage: "TrainReranker", collection: TokenisedCollection, device: torch.device, packed: bool
    ) -> "RerankerEvaluation":
        settings, specials = stage.settings, Specials.of(collection.tokenizer)
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
        collate = RerankerCollator(specials, settings.kept_passages)
        return cls(groups, collate, RERANKER_QUERIES, device, specials, settings.max_length, packed)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        if not isinstance(model, Reranker):
            raise TypeError(f"a re-ranker is evaluated here, not a {type(model).__name__}")
        weights, values = [], []
        for groups in self.batches():
            weights.append(sum(len(group) for group in groups))
            values.append(float(self._accuracy(model, groups)))
        return {"accuracy": float(np.average(values, weights=weights))}

    def _accuracy(self, model: Reranker, groups: list[list[Encoded]]) -> torch.Tensor:
        if not self.packed:
            accuracy: torch.Tensor = model(**self.padded(groups))["accuracy"]
            return accuracy
        scores = self.over_packs(PackedReranker(model.model).score, [pair for group in groups for pair in group])
        # The best that are kept decide it, so all of them do.
        return top_1_accuracy(scores.view(len(groups), -1))
