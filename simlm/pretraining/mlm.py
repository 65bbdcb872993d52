"""Masked language modelling: the objective of the generator, and of Table 7's MLM row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from simlm.data.inputs import batch_inputs, pad
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.masking import WordPieces, draw_words, stateless_rng
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective
from simlm.pretraining.vocabulary_loss import word_rows


@dataclass(frozen=True)
class MaskCollator:
    """One whole-word mask a passage, keyed by (seed, epoch, passage).

    The batch: ``input_ids`` (B, L) with every masked token replaced by [MASK], ``attention_mask`` and
    ``token_type_ids`` (B, L), ``masked`` (B, L) of bool and ``targets`` (M,), the masked tokens in row-major order.
    """

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        masks: list[NDArray[np.int8]] = []
        for example in examples:
            rng = stateless_rng(self.config.seed, example.epoch, example.passage)
            words = self.pieces.words(example.ids)
            drawn = draw_words(words, len(example.ids), self.config.encoder_rate, rng)
            masks.append((drawn & self.pieces.maskable(example.ids)).astype(np.int8))
        batch = batch_inputs([(example.ids, example.types) for example in examples], self.pieces.specials)
        masked = pad(masks, 0).bool()
        targets = batch["input_ids"][masked]
        batch["input_ids"][masked] = self.pieces.specials.mask
        return batch | {"masked": masked, "targets": targets}


class MaskedLM(PackableObjective):
    """BERT's masked language modelling (Devlin et al., NAACL 2019) without next-sentence prediction.

    Inputs: the passage, title and text as two segments, with [MASK] in place of every token under a whole-word mask of
    ``encoder_rate`` (no 80/10/10), drawn anew in every epoch. Works on a BERT encoder and on an ELECTRA generator.
    Loss: cross-entropy against the original tokens, the mean over the batch's masked tokens. In SimLM's Table 7 (Wang
    et al., ACL 2023, Section 5.1) the rate is 30 %, BERT's own is 15 %.
    """

    needs_generator = False
    word_losses = ("loss",)

    def __init__(self, model: BertForMaskedLM | ElectraForMaskedLM, collator: MaskCollator) -> None:
        super().__init__()
        self.model = model
        self.collator = collator

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "MaskedLM":
        if not isinstance(encoder, BertForMaskedLM | ElectraForMaskedLM):
            raise UserError(f"MLM needs a BERT or ELECTRA masked language model, not {type(encoder).__name__}")
        return cls(encoder, MaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM | ElectraForMaskedLM:
        return self.model

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss"}; the batch is `MaskCollator`'s."""
        body = self.model.bert if isinstance(self.model, BertForMaskedLM) else self.model.electra
        hidden = batch.encode(body, batch["input_ids"])
        rows, output = word_rows(self.model, batch.at(hidden, "masked"))
        return {"loss": batch.word_loss(rows, output, batch["targets"], "masked")}


class HeadMLM(MaskedLM):
    """MLM that trains the head alone: the encoder, and with it the output matrix, stays as it was published.

    This gives a head to a public encoder whose files have none. Frozen, the encoder is the same whether a row is
    fine-tuned from it at once or pre-trained first.
    """

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "HeadMLM":
        made = super().build(encoder, generator, pieces, config)
        assert isinstance(made, cls)
        made.model.base_model.requires_grad_(False)
        return made
