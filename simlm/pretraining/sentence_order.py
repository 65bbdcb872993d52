"""Masked language modelling with sentence order: how a stand-in for BERT can be trained, so that [CLS] learns too."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from simlm.data.inputs import pair_input
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.masking import WordPieces, stateless_rng
from simlm.pretraining.mlm import MaskCollator
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective
from simlm.pretraining.vocabulary_loss import word_rows


@dataclass(frozen=True)
class OrderCollator:
    """Cuts each passage's text in two, puts the parts in their order or swaps them, and masks words.

    The batch is `MaskCollator`'s of [CLS] part [SEP] part [SEP], with ``first`` (B, L), true at [CLS], and ``swapped``
    (B, L) of int8, 1 at the [CLS] of a passage whose parts are swapped. A text gives up a piece for the additional
    [SEP]. The cut is where a word starts in the text's middle half.
    """

    masks: MaskCollator

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        drawn = [self._ordered(example) for example in examples]
        batch = self.masks([example for example, _ in drawn])
        first = torch.zeros_like(batch["masked"])
        first[:, 0] = True
        swapped = torch.zeros_like(first, dtype=torch.int8)
        swapped[:, 0] = torch.tensor([swap for _, swap in drawn])
        return batch | {"first": first, "swapped": swapped}

    def _ordered(self, example: Example) -> tuple[Example, bool]:
        rng = stateless_rng(self.masks.config.seed, example.epoch, example.passage, 1)
        pieces = self.masks.pieces
        start = int(example.types.argmax()) or 1  # of the text, behind the title if there is one
        text = example.ids[start:-2]
        words = (place - start for place, _ in pieces.words(example.ids))
        middle = [place for place in words if len(text) <= 4 * place <= 3 * len(text)]
        cut = int(rng.choice(middle)) if middle else len(text) // 2
        swap = bool(rng.random() < 0.5)
        parts = (text[cut:], text[:cut]) if swap else (text[:cut], text[cut:])
        ids, types = pair_input(*parts, len(text) + 3, pieces.specials)
        return Example(example.passage, example.epoch, ids, types), swap


class OrderedMLM(PackableObjective):
    """MLM as `MaskedLM`'s, and whether the two parts of a passage stand in their order.

    BERT's own pre-training (Devlin et al., NAACL 2019) has a second loss that trains [CLS]: whether two sentences
    follow each other. Sentence order (Lan et al., "ALBERT", ICLR 2020) is its form for single passages. Loss: MLM plus
    the mean binary cross-entropy of a head on [CLS] (dense, tanh, linear, as BERT's), which is not kept.
    """

    needs_generator = False
    word_losses = ("word_loss",)

    def __init__(self, model: BertForMaskedLM, order: nn.Module, collator: OrderCollator) -> None:
        super().__init__()
        self.model = model
        self.order = order
        self.collator = collator

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "OrderedMLM":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"MLM with sentence order needs a BERT encoder, not {type(encoder).__name__}")
        width = encoder.config.hidden_size
        order = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        return cls(encoder, order, OrderCollator(MaskCollator(pieces, config)))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "word_loss", "order_loss"}; the batch is `OrderCollator`'s."""
        hidden = batch.encode(self.model.bert, batch["input_ids"])
        rows, output = word_rows(self.model, batch.at(hidden, "masked"))
        words = batch.word_loss(rows, output, batch["targets"], "masked")
        logits = self.order(batch.at(hidden, "first")).squeeze(1).float()
        swapped = batch.at(batch["swapped"], "first").float()
        order = batch.mean(binary_cross_entropy_with_logits(logits, swapped, reduction="none"), "first")
        return {"loss": words + order, "word_loss": words.detach(), "order_loss": order.detach()}
