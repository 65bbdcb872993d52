"""Two texts of one passage must have near [CLS] vectors, among those of a batch: what ICT and cropping share."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from ablations.objectives.detection import freeze_vocabulary_head
from simlm.data.inputs import Encoded, batch_inputs, query_input
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.masking import WordPieces, stateless_rng
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective

Draw = Callable[[Example, WordPieces, np.random.Generator], tuple[Encoded, Encoded] | None]


@dataclass(frozen=True)
class PairCollator:
    """Two texts a passage, drawn by (seed, epoch, passage).

    The batch has 2 B rows, the texts of passage b at 2b and 2b + 1, and ``paired`` (2 B,) of bool, false where ``draw``
    found no pair: the rows are empty there.
    """

    pieces: WordPieces
    config: ObjectiveConfig
    draw: Draw

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        empty = query_input(np.empty(0, dtype=np.int32), 2, self.pieces.specials)
        pairs = [
            self.draw(one, self.pieces, stateless_rng(self.config.seed, one.epoch, one.passage)) for one in examples
        ]
        rows = [text for pair in pairs for text in pair or (empty, empty)]
        paired = torch.tensor([pair is not None for pair in pairs], dtype=torch.bool)
        return batch_inputs(rows, self.pieces.specials) | {"paired": paired.repeat_interleave(2)}


def pair_loss(first: Tensor, second: Tensor, temperature: float, normalised: bool) -> Tensor:
    """Return the mean over n pairs of -log softmax of the first text's scores with all second texts, at its own.

    Computed in float32 (float64 stays float64), also under autocast. 0 where there is no pair, and with one alone.

    Args:
        first, second: (n, H), the vectors of the two texts of each pair.
        temperature: by which scores, inner products, are divided.
        normalised: whether vectors are made of length 1 before.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = (one.to(torch.promote_types(one.dtype, torch.float32)) for one in (first, second))
        if normalised:
            first, second = functional.normalize(first, dim=-1), functional.normalize(second, dim=-1)
        own = torch.arange(len(first), device=first.device)
        return functional.cross_entropy(first @ second.T / temperature, own, reduction="sum") / max(1, len(first))


class PairedTexts(PackableObjective):
    """An objective whose only loss is `pair_loss`. The encoder's MLM head has no part in it and is frozen."""

    needs_generator = False
    whole_groups = True
    label: ClassVar[str]
    temperature: ClassVar[float] = 1.0
    normalised: ClassVar[bool] = False
    """Whether vectors have length 1."""

    def __init__(self, model: BertForMaskedLM, collator: PairCollator) -> None:
        super().__init__()
        self.model = model
        self.collator = collator
        freeze_vocabulary_head(model)

    @staticmethod
    @abstractmethod
    def draw(example: Example, pieces: WordPieces, rng: np.random.Generator) -> tuple[Encoded, Encoded] | None:
        """Return two texts of a passage, None where it has no two."""

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "PairedTexts":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"{cls.label} needs a BERT encoder with its MLM head, not {type(encoder).__name__}")
        return cls(encoder, PairCollator(pieces, config, cls.draw))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss"}; the batch is `PairCollator`'s."""
        cls = batch.firsts(batch.encode(self.model.bert, batch["input_ids"]))
        return {"loss": batch.by_group(self._loss, cls, batch["paired"])}

    def _loss(self, vectors: Tensor, paired: Tensor) -> Tensor:
        kept = vectors[paired]
        return pair_loss(kept[0::2], kept[1::2], self.temperature, self.normalised)
