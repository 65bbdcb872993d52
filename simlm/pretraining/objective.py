"""What a pre-training objective is, and how one is found by name.

An objective is one class in one file: a module whose ``forward`` takes the batch that its ``collator`` made and returns
the loss. Its name is a key of ``OBJECTIVES`` or a path "package.module:Class", so that an objective living outside the
core needs no change here.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ElectraForMaskedLM, PreTrainedModel

from simlm.errors import UserError
from simlm.pretraining.batch import Batch, PaddedBatch
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.packed_batch import MaskedPack, PackedBatch

OBJECTIVES: dict[str, str] = {
    "replaced_lm": "simlm.pretraining.replaced_lm:ReplacedLM",
    "mlm": "simlm.pretraining.mlm:MaskedLM",
    "head-mlm": "simlm.pretraining.mlm:HeadMLM",
    "ordered-mlm": "simlm.pretraining.sentence_order:OrderedMLM",
}


@dataclass(frozen=True)
class Example:
    """One passage: its number in the collection, the epoch it is drawn in, its tokens and token types (length,)."""

    passage: int
    epoch: int
    ids: NDArray[np.int32]
    types: NDArray[np.int8]


@dataclass(frozen=True)
class ObjectiveConfig:
    """The choices an objective is built with; each uses those that concern it (Tables 8, 11 and 12)."""

    encoder_rate: float
    decoder_rate: float
    generator_dropout: bool
    seed: int


class Objective(nn.Module, ABC):
    """A pre-training objective.

    ``collator`` turns a list of examples into a batch (masks are drawn there, keyed by seed, epoch and passage);
    ``forward(**batch)`` returns {"loss": scalar, ...}, further scalars being logged; ``encoder`` is the model with its
    MLM head that pre-training improves, of which the body is kept.
    """

    needs_generator: ClassVar[bool]
    word_losses: ClassVar[tuple[str, ...]] = ()
    """Which of the logged losses are mean cross-entropies of words that are hidden from whoever predicts them.

    Knowing nothing but how frequent words are brings each of them down to the words' entropy. None where the input
    shows most of what is predicted, or where no words are.
    """
    collator: Callable[[Sequence[Example]], dict[str, Tensor]]

    @classmethod
    @abstractmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "Objective":
        """Build the objective over ``encoder``; ``generator`` is given when ``needs_generator``."""

    @property
    @abstractmethod
    def encoder(self) -> PreTrainedModel:
        """The model that is kept."""

    @abstractmethod
    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return the losses of a batch."""


class PackableObjective(Objective):
    """An objective that computes its losses from a ``Batch``, and so is trained without padding on a GPU.

    Its collator makes tensors (B, L), ``attention_mask`` and masks of bool among them, and others whose first dimension
    goes through passages or masked tokens in row-major order; a passage's share of them does not depend on the others.
    """

    whole_groups: ClassVar[bool] = False
    """Whether a loss compares the passages of a micro-batch (``Batch.by_group``), which then stay together."""

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss": scalar, ...}, as `forward` does; each is a mean over micro-batches."""

    def forward(self, packed: MaskedPack | None = None, /, **batch: Tensor) -> dict[str, Tensor]:
        """Return the losses of the collator's batch, or the shares of them that one of its packs has."""
        return self.losses(PaddedBatch(batch) if packed is None else PackedBatch(packed))


def find_objective(name: str) -> type[Objective]:
    """Find the objective class of a name; UserError when there is none."""
    try:
        found = pkgutil.resolve_name(OBJECTIVES.get(name, name))
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"unknown objective {name!r}: choose one of {', '.join(sorted(OBJECTIVES))} or give package.module:Class"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise UserError(f"{name!r} is not an objective: it must be a subclass of simlm.pretraining.objective.Objective")
    return found
