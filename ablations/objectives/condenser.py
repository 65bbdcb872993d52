"""Condenser (Gao and Callan, EMNLP 2021), Table 7: a head that reads late [CLS] and early tokens must predict words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from simlm.data.inputs import Encoded, Ids, batch_inputs, pad
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.masking import WordPieces, draw_words, stateless_rng
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective
from simlm.pretraining.vocabulary_loss import word_rows

HEAD_LAYERS = 2
# Of ten masked tokens eight become [MASK], one any token of the vocabulary, and one stays (Devlin et al., 2019).
AS_MASK, AS_ANOTHER = 0.8, 0.1


def corrupt(ids: Ids, pieces: WordPieces, rate: float, rng: np.random.Generator) -> tuple[Ids, NDArray[np.bool_]]:
    """Corrupt ``ids`` (length,): mask whole words, then 80/10/10 token by token; return them and the mask (length,).

    "Any token" is drawn from the whole vocabulary, special tokens and the original included, as in BERT's release.
    """
    masked = draw_words(pieces.words(ids), len(ids), rate, rng) & pieces.maskable(ids)
    fate = rng.random(len(ids))
    another = rng.integers(len(pieces.continues), size=len(ids), dtype=np.int32)
    read = np.where(masked & (fate < AS_MASK), np.int32(pieces.specials.mask), ids)
    read = np.where(masked & (fate >= AS_MASK) & (fate < AS_MASK + AS_ANOTHER), another, read)
    return read, masked


def corrupted_batch(
    rows: Iterable[tuple[Encoded, np.random.Generator]], pieces: WordPieces, rate: float
) -> dict[str, Tensor]:
    """Corrupt inputs, each by its generator, and return them as a batch.

    ``input_ids`` (B, L) as the encoder reads them, ``attention_mask`` and ``token_type_ids`` (B, L), ``masked`` (B, L)
    of bool, and ``targets`` (M,), the masked positions' original tokens in row-major order.
    """
    read: list[Encoded] = []
    masks: list[NDArray[np.int8]] = []
    targets: list[Ids] = [np.empty(0, dtype=np.int32)]
    for (ids, types), rng in rows:
        corrupted, masked = corrupt(ids, pieces, rate, rng)
        read.append((corrupted, types))
        masks.append(masked.astype(np.int8))
        targets.append(ids[masked])
    return batch_inputs(read, pieces.specials) | {
        "masked": pad(masks, 0).bool(),
        "targets": torch.from_numpy(np.concatenate(targets).astype(np.int64)),
    }


@dataclass(frozen=True)
class CorruptingCollator:
    """Make ``corrupted_batch`` of the examples; draw the masks by (seed, epoch, passage)."""

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        rows = (
            ((example.ids, example.types), stateless_rng(self.config.seed, example.epoch, example.passage))
            for example in examples
        )
        return corrupted_batch(rows, self.pieces, self.config.encoder_rate)


class Condenser(PackableObjective):
    """Gao and Callan, "Condenser: a Pre-training Architecture for Dense Retrieval" (EMNLP 2021).

    Inputs: passages with whole words masked at ``encoder_rate`` (30 % here, 15 % in their paper), 80/10/10.
    A head of two fresh Transformer layers reads [last layer's [CLS]; the middle layer's other states], so that whatever
    the upper layers know must pass through [CLS]. Loss: the head's MLM loss plus the encoder's own (their "late MLM"),
    each a mean over the micro-batch's masked tokens, kept and replaced ones included; one MLM head serves both.

    Where the SimLM paper is silent, Condenser's release decides: layer 6 of 12 is "middle", hence layers // 2 and at
    least 1; head layers have the encoder's shape, initialiser and dropout. Unlike the release, passages come with title
    and token types where the collection has titles (it has text only), and a long one is cut at its end, as for every
    other objective here (there, on both sides at random).
    """

    needs_generator = False
    word_losses = ("encoder_loss", "head_loss")

    def __init__(self, model: BertForMaskedLM, collator: CorruptingCollator) -> None:
        super().__init__()
        self.model = model
        self.collator = collator
        self.middle = max(1, len(model.bert.encoder.layer) // 2)
        self.head = nn.ModuleList(BertLayer(model.config) for _ in range(HEAD_LAYERS))
        self.head.apply(model._init_weights)

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "Condenser":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"Condenser needs a BERT encoder with its MLM head, not {type(encoder).__name__}")
        return cls(encoder, CorruptingCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the states (tokens, H) of the middle and of the last layer."""
        return batch.encode_twice(self.model.bert, batch["input_ids"], self.middle)

    def condense(self, batch: Batch, middle: Tensor, late: Tensor) -> Tensor:
        """Return the head's states (tokens, H); it reads [CLS] of ``late`` and the rest of ``middle`` (tokens, H)."""
        return batch.bridge(self.head, self.model.config, late, middle)

    def losses_and_vectors(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return {"loss", "encoder_loss", "head_loss"} of ``corrupted_batch``, and the late [CLS] vectors (B, H)."""
        middle, late = self.encode(batch)
        condensed = self.condense(batch, middle, late)
        of_encoder, of_head = self._word_loss(batch, late), self._word_loss(batch, condensed)
        losses = {
            "loss": of_encoder + of_head,
            "encoder_loss": of_encoder.detach(),
            "head_loss": of_head.detach(),
        }
        return losses, batch.firsts(late)

    def _word_loss(self, batch: Batch, states: Tensor) -> Tensor:
        rows, output = word_rows(self.model, batch.at(states, "masked"))
        return batch.word_loss(rows, output, batch["targets"], "masked")

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "head_loss"}; the batch is ``CorruptingCollator``'s."""
        losses, _ = self.losses_and_vectors(batch)
        return losses
