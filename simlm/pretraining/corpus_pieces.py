"""Pre-training with the pieces of its corpus alone: a public vocabulary has many that no passage has.

Without them, embeddings, output layer and products are smaller by as much. It is the training with logits of minus
infinity for them, which get no probability and no gradient: on a GPU in distribution, as the noise of a draw is
numbered by the columns of the logits. What is saved has the whole vocabulary again, in which they are as they were.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from simlm.data.frequencies import piece_counts
from simlm.data.store import TokenisedCollection
from simlm.data.tokenizer import Specials
from simlm.errors import UserError
from simlm.pretraining.masking import WordPieces


@dataclass(frozen=True)
class CorpusPieces:
    """Some pieces of a vocabulary, in its order.

    Attributes:
        kept: int64 (K,), their numbers in the vocabulary.
        numbers: int32 (V,), for each piece of the vocabulary its place in ``kept``, 0 for the others.
    """

    kept: NDArray[np.int64]
    numbers: NDArray[np.int32]

    @classmethod
    def of(cls, collection: TokenisedCollection, only: bool) -> "CorpusPieces":
        """Return the pieces that some passage of a collection has, and the special ones; all unless ``only``."""
        tokenizer = collection.tokenizer
        chosen = np.ones(len(tokenizer), dtype=bool)
        if only:
            chosen = piece_counts(collection.passages, len(tokenizer)) > 0
            chosen[list(Specials.of(tokenizer))] = True
        return cls(np.flatnonzero(chosen), np.where(chosen, np.cumsum(chosen) - 1, 0).astype(np.int32))

    def words(self, pieces: WordPieces) -> WordPieces:
        """Return what masking must know of these pieces, from what it knows of the vocabulary."""
        specials = Specials(*(int(self.numbers[one]) for one in pieces.specials))
        return WordPieces(pieces.continues[self.kept], specials, pieces.ends[self.kept])

    @contextmanager
    def only_in(self, *models: PreTrainedModel) -> Iterator[None]:
        """Leave models with an MLM head only these pieces; afterwards they have the others again, as they were.

        UserError for a model whose head has an output matrix of its own.
        """
        cut = [] if len(self.kept) == len(self.numbers) else models
        kept = torch.from_numpy(self.kept)
        wholes = [[one.clone() for one in _tensors(model)] for model in cut]
        paddings: list[Any] = [model.config.pad_token_id for model in cut]
        for model, whole, padding in zip(cut, wholes, paddings, strict=True):
            _resize(model, [one[kept] for one in whole], int(self.numbers[padding]))
        yield
        for model, whole, padding in zip(cut, wholes, paddings, strict=True):
            for before, after in zip(whole, _tensors(model), strict=True):
                before[kept] = after.to(before.device)
            _resize(model, whole, padding)


def _tensors(model: PreTrainedModel) -> list[torch.Tensor]:
    """Return a model's output matrix (V, H), which is also that of its token embeddings, and bias (V,)."""
    output: Any = model.get_output_embeddings()
    embeddings: Any = model.get_input_embeddings()
    if output.weight is not embeddings.weight:
        raise UserError(
            f"{model.name_or_path}: its MLM head does not share the matrix of its token embeddings, without which no "
            "training has the corpus's pieces alone; take a model with tie_word_embeddings"
        )
    return [output.weight.detach(), output.bias.detach()]


def _resize(model: PreTrainedModel, tensors: list[torch.Tensor], padding: int) -> None:
    """Give a model another output matrix and bias, and so another vocabulary, in which ``padding`` is [PAD]."""
    model.resize_token_embeddings(len(tensors[0]), mean_resizing=False)
    for own, new in zip(_tensors(model), tensors, strict=True):
        own.copy_(new)
    embeddings: Any = model.get_input_embeddings()
    embeddings.padding_idx = model.config.pad_token_id = padding
