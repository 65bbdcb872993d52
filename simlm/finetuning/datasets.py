"""Datasets of groups: a query with its n passages of an epoch."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from simlm.data.inputs import (
    Encoded,
    Specials,
    colon_pieces,
    pair_input,
    passage_input,
    query_input,
    reranker_passage,
)
from simlm.data.store import TokenisedCollection
from simlm.finetuning.biencoder import BiEncoderGroup
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.teacher import TeacherScores

G = TypeVar("G")


class _Groups(Dataset[G]):
    """One group for each query of ``lists``: n passages, the positive first, drawn anew in each epoch."""

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
        return self.inputs(*self.drawn(j))

    def drawn(self, j: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the query of list j, by index, and its n passages (n,) of this epoch, positive first."""
        return int(self.lists.queries[j]), self.lists.group(j, self.epoch, self.seed, self.n)

    def inputs(self, query: int, passages: npt.NDArray[np.int64]) -> G:
        """Return the model's inputs for a query of the split and its n passages, both by index."""
        raise NotImplementedError


class BiEncoderGroups(_Groups[BiEncoderGroup]):
    """Groups of n passages for the bi-encoder, one for each query of ``lists``.

    Args:
        collection: the tokenised collection.
        split: the split whose queries the lists index.
        lists: positives and negatives.
        n: passages of a group.
        seed: the stage's, which shifts the windows (`NegativeLists.group`).
        query_length, passage_length: most tokens with the special ones (32 and 144 at paper scale).
        teacher: for distillation; it must know every pair that is drawn (UserError otherwise).
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


class RerankerGroups(_Groups[list[Encoded]]):
    """Groups of n (query, passage) pairs for the re-ranker, the positive first, one for each query of ``lists``.

    ``max_length`` is the most tokens of a pair with the special ones (192 at paper scale); the rest is as in
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
    """Makes the re-ranker's input for a query and a passage, by their indices in a split and in the collection."""

    def __init__(self, collection: TokenisedCollection, split: str, max_length: int) -> None:
        self.queries = collection.queries(split)
        self.passages = collection.passages
        self.specials = Specials.of(collection.tokenizer)
        self.colon = colon_pieces(collection.tokenizer)
        self.max_length = max_length

    def __call__(self, query: int, passage: int) -> Encoded:
        """Return the ids and token types of [CLS] query [SEP] title: text [SEP]."""
        text = reranker_passage(self.passages.title(passage), self.passages.text(passage), self.colon)
        return pair_input(self.queries.text(query), text, self.max_length, self.specials)
