"""Datasets of groups, a query with its n passages of an epoch, and the batches that are made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
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
from simlm.finetuning.biencoder import BiEncoderBatch
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.reranker import RerankerBatch
from simlm.finetuning.teacher import TeacherScores
from simlm.packed.pack import even_parts
from simlm.packed.texts import Layout, Packed

G = TypeVar("G")


class BiEncoderGroup(NamedTuple):
    """A query, its n passages with the positive first, and the teacher's logits (n) for them."""

    query: Encoded
    passages: list[Encoded]
    teacher_scores: npt.NDArray[np.float32] | None


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
        return self.inputs(int(self.lists.queries[j]), self.lists.group(j, self.epoch, self.seed, self.n))

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


@dataclass(frozen=True)
class BiEncoderCollator:
    """Makes one batch of B groups, in a layout."""

    layout: Layout

    def __call__(self, groups: Sequence[BiEncoderGroup]) -> BiEncoderBatch:
        scores = [group.teacher_scores for group in groups if group.teacher_scores is not None]
        texts = self.layout.sides(
            [group.query for group in groups], [passage for group in groups for passage in group.passages]
        )
        return BiEncoderBatch(texts, len(groups), torch.from_numpy(np.stack(scores)) if scores else None)


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


@dataclass(frozen=True)
class RerankerCollator:
    """Makes batches of groups of n pairs, in a layout.

    Attributes:
        layout: how pairs are laid out.
        keep: pairs of a group that are trained on.
    """

    layout: Layout
    keep: int

    def __call__(self, groups: Sequence[list[Encoded]]) -> RerankerBatch:
        """Return one batch of all groups; ValueError if only the positives would be kept."""
        return self._batch(groups, 1.0)

    def parts(self, groups: Sequence[list[Encoded]], micro_batch: int = 0) -> list[RerankerBatch]:
        """Return packed batches of whole groups whose losses, added up, are the mean over all queries.

        A batch's two dropout passes together have at most as many tokens as a pack of the layout, reckoned by the
        longest pairs that can be kept, and up to a group more; nothing holds the activations of the pass that chooses
        pairs. ``micro_batch`` counts nothing: queries are what is averaged.
        """
        assert isinstance(self.layout, Packed), "padded pairs are one batch"
        most = np.array([self._at_most(group) for group in groups])
        parts = even_parts(most, self.layout.packer.max_tokens or int(most.sum()))
        return [self._batch(groups[part], len(groups[part]) / len(groups)) for part in parts]

    def _batch(self, groups: Sequence[list[Encoded]], share: float) -> RerankerBatch:
        if self.keep < 2:
            raise ValueError(f"keep {self.keep} is below 2")
        pairs = self.layout.texts([pair for group in groups for pair in group], keep_rows=True)
        return RerankerBatch(pairs, len(groups[0]), self.keep, share)

    def _at_most(self, group: Sequence[Encoded]) -> int:
        positive, *others = [len(ids) for ids, _ in group]
        return 2 * (positive + sum(sorted(others, reverse=True)[: self.keep - 1]))
