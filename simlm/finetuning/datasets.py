"""Map-style datasets of groups (a query and its n passages of an epoch), and the batches made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from simlm.data.inputs import (
    Encoded,
    Specials,
    batch_inputs,
    colon_pieces,
    pair_input,
    passage_input,
    query_input,
    reranker_passage,
)
from simlm.data.store import TokenisedCollection
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.teacher import TeacherScores

G = TypeVar("G")


class BiEncoderGroup(NamedTuple):
    """A query, its n passages with the positive first, and the teacher's logits (n) for them."""

    query: Encoded
    passages: list[Encoded]
    teacher_scores: npt.NDArray[np.float32] | None


class _Groups(Dataset[G]):
    """One group a query of `lists`: n passages, the positive first, drawn anew in each epoch."""

    def __init__(self, lists: NegativeLists, n: int, seed: int) -> None:
        self.lists = lists
        self.n = n
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (0-based) whose groups are read from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, j: int) -> G:
        return self.inputs(int(self.lists.queries[j]), self.lists.group(j, self.epoch, self.seed, self.n))

    def inputs(self, query: int, passages: npt.NDArray[np.int64]) -> G:
        """The model's inputs for a query of the split and its n passages, both by index."""
        raise NotImplementedError


class BiEncoderGroups(_Groups[BiEncoderGroup]):
    """Groups of n passages for the bi-encoder, one a query of `lists`.

    split: the split whose queries the lists index. seed: the stage's, which shifts the windows
    (`NegativeLists.group`). query_length, passage_length: most tokens with the special ones (32 and 144 at
    paper scale). teacher: for distillation; it must know every pair that is drawn (UserError otherwise).
    """

    def __init__(
        self,
        collection: TokenisedCollection,
        split: str,
        lists: NegativeLists,
        n: int,
        seed: int,
        query_length: int,
        passage_length: int,
        teacher: TeacherScores | None = None,
    ) -> None:
        super().__init__(lists, n, seed)
        self.queries = collection.queries(split)
        self.passages = collection.passages
        self.specials = Specials.of(collection.tokenizer)
        self.query_length = query_length
        self.passage_length = passage_length
        self.teacher = teacher

    def inputs(self, query: int, passages: npt.NDArray[np.int64]) -> BiEncoderGroup:
        return BiEncoderGroup(
            query_input(self.queries.text(query), self.query_length, self.specials),
            [
                passage_input(self.passages.title(p), self.passages.text(p), self.passage_length, self.specials)
                for p in passages.tolist()
            ],
            None if self.teacher is None else self.teacher.lookup(query, passages),
        )


@dataclass(frozen=True)
class BiEncoderCollator:
    """B groups -> the arguments of `BiEncoder.forward`."""

    specials: Specials

    def __call__(self, groups: Sequence[BiEncoderGroup]) -> dict[str, Any]:
        batch: dict[str, Any] = {
            "queries": batch_inputs([group.query for group in groups], self.specials),
            "passages": batch_inputs([one for group in groups for one in group.passages], self.specials),
        }
        scores = [group.teacher_scores for group in groups if group.teacher_scores is not None]
        if scores:
            batch["teacher_scores"] = torch.from_numpy(np.stack(scores))
        return batch


class RerankerGroups(_Groups[list[Encoded]]):
    """Groups of n (query, passage) pairs for the re-ranker, the positive first, one a query of `lists`.

    max_length: most tokens of a pair with the special ones (192 at paper scale). The rest as in
    `BiEncoderGroups`.
    """

    def __init__(
        self,
        collection: TokenisedCollection,
        split: str,
        lists: NegativeLists,
        n: int,
        seed: int,
        max_length: int,
    ) -> None:
        super().__init__(lists, n, seed)
        self.pairs = Pairs(collection, split, max_length)

    def inputs(self, query: int, passages: npt.NDArray[np.int64]) -> list[Encoded]:
        return [self.pairs(query, passage) for passage in passages.tolist()]


class Pairs:
    """The re-ranker's input for a query and a passage, by their indices in a split and in the collection."""

    def __init__(self, collection: TokenisedCollection, split: str, max_length: int) -> None:
        self.queries = collection.queries(split)
        self.passages = collection.passages
        self.specials = Specials.of(collection.tokenizer)
        self.colon = colon_pieces(collection.tokenizer)
        self.max_length = max_length

    def __call__(self, query: int, passage: int) -> Encoded:
        """(ids, token types) of [CLS] query [SEP] title: text [SEP]."""
        text = reranker_passage(self.passages.title(passage), self.passages.text(passage), self.colon)
        return pair_input(self.queries.text(query), text, self.max_length, self.specials)


@dataclass(frozen=True)
class RerankerCollator:
    """B groups of n pairs -> the arguments of `Reranker.forward`: inputs (B n, L), n and how many to keep."""

    specials: Specials
    keep: int

    def __call__(self, groups: Sequence[list[Encoded]]) -> dict[str, Any]:
        return {
            "inputs": batch_inputs([pair for group in groups for pair in group], self.specials),
            "group_size": len(groups[0]),
            "keep": self.keep,
        }
