"""Replaced language modelling through a representation bottleneck: SimLM's objective (Section 3.1, Equations 1, 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from simlm.data.inputs import batch_inputs, pad
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer
from simlm.pretraining.masking import WordPieces, counted_tokens, nested_masks, stateless_rng
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective
from simlm.pretraining.vocabulary_loss import word_rows


class Draw(NamedTuple):
    """Both masks of a passage, of bool (length,), and a uniform number in [0, 1) for each masked position."""

    encoder: NDArray[np.bool_]
    decoder: NDArray[np.bool_]
    encoder_uniforms: NDArray[np.float64]
    decoder_uniforms: NDArray[np.float64]


@dataclass(frozen=True)
class NestedMaskCollator:
    """Draws both masks and the samplers' uniform numbers of every passage, keyed by (seed, epoch, passage).

    The batch: ``input_ids``, ``attention_mask``, ``token_type_ids`` (B, L) of the original passages;
    ``encoder_mask``, ``decoder_mask``, ``counted`` (B, L) of bool; ``encoder_uniforms``, ``decoder_uniforms`` with one
    number in [0, 1) a masked position, in row-major order.
    """

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        draws = [self.draw(example) for example in examples]
        batch = batch_inputs([(example.ids, example.types) for example in examples], self.pieces.specials)
        return batch | {
            "encoder_mask": pad([draw.encoder.astype(np.int8) for draw in draws], 0).bool(),
            "decoder_mask": pad([draw.decoder.astype(np.int8) for draw in draws], 0).bool(),
            "encoder_uniforms": torch.from_numpy(np.concatenate([draw.encoder_uniforms for draw in draws])),
            "decoder_uniforms": torch.from_numpy(np.concatenate([draw.decoder_uniforms for draw in draws])),
            # Whether masked or not.
            "counted": counted_tokens(batch["input_ids"], batch["attention_mask"], self.pieces.specials),
        }

    def draw(self, example: Example) -> Draw:
        """Draw the masks and the numbers of one passage, the same in whatever batch it is."""
        rng = stateless_rng(self.config.seed, example.epoch, example.passage)
        encoder, decoder = nested_masks(
            example.ids, self.pieces, self.config.encoder_rate, self.config.decoder_rate, rng
        )
        return Draw(encoder, decoder, rng.random(int(encoder.sum())), rng.random(int(decoder.sum())))


def matching(
    objective: str, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None
) -> tuple[BertForMaskedLM, ElectraForMaskedLM]:
    """Return both models, as the kinds that an objective needs.

    Args:
        objective: its name for readers.
        encoder: has to be BERT with its MLM head.
        generator: has to be an ELECTRA generator.

    Raises:
        UserError: when either is missing or of another kind, or when their vocabularies differ.
    """
    if not isinstance(encoder, BertForMaskedLM) or generator is None:
        raise UserError(f"{objective} needs a BERT encoder and an ELECTRA generator: give a folder or Hub name of each")
    if generator.config.vocab_size != encoder.config.vocab_size:
        raise UserError(
            f"the generator has {generator.config.vocab_size} words, the encoder {encoder.config.vocab_size}: "
            "use two models of one tokenizer"
        )
    return encoder, generator


def replacing_bottleneck(
    objective: str,
    encoder: PreTrainedModel,
    generator: ElectraForMaskedLM | None,
    pieces: WordPieces,
    config: ObjectiveConfig,
) -> tuple[BottleneckModel, Replacer]:
    """Build the bottleneck over ``encoder`` and the replacer that fills its masks.

    UserError as from `matching`, whose ``objective`` it takes.
    """
    bert, electra = matching(objective, encoder, generator)
    return BottleneckModel(bert), Replacer(electra, pieces.specials.mask, config.generator_dropout)


def word_losses(
    model: BottleneckModel, batch: Batch, encoder_ids: Tensor, decoder_ids: Tensor, encoder_mask: str, decoder_mask: str
) -> dict[str, Tensor]:
    """Return {"loss", "encoder_loss", "decoder_loss"}: both sides predict the original tokens at the places of masks.

    Args:
        model: encoder and decoder.
        batch: the passages.
        encoder_ids, decoder_ids: (tokens), what the two sides read.
        encoder_mask, decoder_mask: names of masks in the batch.
    """
    hidden = batch.encode(model.encoder.bert, encoder_ids)
    encoder_loss = word_loss(model, batch, hidden, encoder_mask)
    decoder_loss = word_loss(model, batch, batch.decode(model, hidden, decoder_ids), decoder_mask)
    return {
        "loss": encoder_loss + decoder_loss,
        "encoder_loss": encoder_loss.detach(),
        "decoder_loss": decoder_loss.detach(),
    }


def word_loss(model: BottleneckModel, batch: Batch, states: Tensor, mask: str) -> Tensor:
    """Return the mean cross-entropy of the head's predictions against the original tokens at a mask's places.

    ``states`` are (tokens, H).
    """
    rows, output = word_rows(model.encoder, batch.at(states, mask))
    return batch.word_loss(rows, output, batch.at(batch["input_ids"], mask), mask)


class ReplacedLM(PackableObjective):
    """SimLM: encoder and decoder each predict the original token at every non-special position.

    Each side reads the passage with its masked positions resampled by the generator, in separate passes. The loss is
    L_enc + L_dec, each a mean over the counted tokens of the micro-batch, as in the released implementation (Equation 2
    averages within each passage first).
    """

    needs_generator = True

    def __init__(self, model: BottleneckModel, replacer: Replacer, collator: NestedMaskCollator) -> None:
        super().__init__()
        self.model = model
        self.replacer = replacer
        self.collator = collator

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "ReplacedLM":
        model, replacer = replacing_bottleneck("replaced LM", encoder, generator, pieces, config)
        return cls(model, replacer, NestedMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model.encoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss"}; the batch is `NestedMaskCollator`'s."""
        encoder_ids = batch.replaced(self.replacer, "encoder")
        decoder_ids = batch.replaced(self.replacer, "decoder")
        return word_losses(self.model, batch, encoder_ids, decoder_ids, "counted", "counted")
