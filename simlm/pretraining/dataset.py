"""The passages of a tokenised collection as pre-training examples, some held out for evaluation."""

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from simlm.data.inputs import Specials, passage_input
from simlm.data.tokens import TokenStore
from simlm.pretraining.masking import stateless_rng
from simlm.pretraining.objective import Example

# Held-out passages are masked alike at every evaluation: no training epoch has this number.
EVALUATION_EPOCH = 2**31 - 1


class PassageExamples(Dataset[Example]):
    """The passages ``indices`` (n,) of a store, cut at ``max_length`` tokens with the special ones.

    ``numbers`` int32 (V,) are those that an example has for the store's V pieces.
    """

    def __init__(
        self,
        passages: TokenStore,
        indices: NDArray[np.int64],
        specials: Specials,
        max_length: int,
        numbers: NDArray[np.int32],
        epoch: int = 0,
    ) -> None:
        self.passages = passages
        self.indices = indices
        self.specials = specials
        self.max_length = max_length
        self.numbers = numbers
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the examples that follow: each epoch has masks of its own."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> Example:
        passage = int(self.indices[number])
        title = self.passages.title(passage) if self.passages.has_titles else None
        ids, types = passage_input(title, self.passages.text(passage), self.max_length, self.specials)
        return Example(passage, self.epoch, self.numbers[ids], types)


def hold_out(passages: int, held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices to train on and indices held out for evaluation (4,096 at paper scale), both ascending."""
    order = stateless_rng(seed, passages).permutation(passages)
    held_out = min(held_out, passages // 10)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
