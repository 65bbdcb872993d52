"""What Enc-Dec MLM and AutoEncoder have in common: SimLM's bottleneck without a generator."""

from typing import ClassVar, Self

from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from simlm.errors import UserError
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.objective import ObjectiveConfig, PackableObjective
from simlm.pretraining.replaced_lm import NestedMaskCollator


class MaskBottleneck(PackableObjective):
    """The bottleneck model over ``NestedMaskCollator``'s batches; a token that is hidden from a side is [MASK] to it.

    A subclass gives its ``name`` to users and its loss.
    """

    needs_generator = False
    name: ClassVar[str]

    def __init__(self, model: BottleneckModel, mask_token: int, collator: NestedMaskCollator) -> None:
        super().__init__()
        self.model = model
        self.mask_token = mask_token
        self.collator = collator

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> Self:
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"{cls.name} needs a BERT encoder, not {type(encoder).__name__}: give a BERT model")
        return cls(BottleneckModel(encoder), pieces.specials.mask, NestedMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model.encoder
