"""SEED-Encoder (Lu et al., EMNLP 2021): a weak autoregressive decoder that sees [CLS] and a few tokens before each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from simlm.errors import UserError
from simlm.pretraining.masking import WordPieces, counted_tokens
from simlm.pretraining.mlm import MaskCollator
from simlm.pretraining.objective import Example, Objective, ObjectiveConfig
from simlm.pretraining.vocabulary_loss import head_loss

LAYERS = 3
SPAN = 2
"""How many tokens a position of the decoder sees, its own among them, beside [CLS]."""


def seen_positions(length: int, span: int = SPAN) -> Tensor:
    """Return a mask (length, length), true where row i sees position j: itself, span - 1 before it, and position 0."""
    row, column = torch.arange(length)[:, None], torch.arange(length)[None]
    return (column <= row) & ((row - column < span) | (column == 0))


@dataclass(frozen=True)
class NextTokenCollator:
    """``MaskCollator``'s batch, and the passages as they were.

    Added are ``original_ids`` (B, L), and ``predicted`` (B, L) of bool, true at each position whose next token counts:
    one that is not special.
    """

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        batch = MaskCollator(self.pieces, self.config)(examples)
        original = batch["input_ids"].clone()
        original[batch["masked"]] = batch["targets"]
        predicted = torch.zeros_like(batch["masked"])
        predicted[:, :-1] = counted_tokens(original, batch["attention_mask"], self.pieces.specials)[:, 1:]
        return batch | {"original_ids": original, "predicted": predicted}


class SEED(Objective):
    """Lu et al., "Less is More: Pretrain a Strong Siamese Encoder for Dense Text Retrieval Using a Weak Decoder", 2021.

    Inputs: to the encoder, the passage with whole words masked at ``encoder_rate``; to the decoder, the encoder's
    last-layer [CLS] vector and the original tokens. The decoder, three fresh layers, predicts each token from [CLS] and
    the two tokens before it. Loss: the encoder's MLM, a mean over the masked tokens, plus the decoder's cross-entropy,
    a mean over all tokens that are not special.

    Where the paper leaves a choice: [CLS] stands at position 0, where every position sees it in every layer (the
    release can also attend to it across). The span is each layer's, as in the release, so that three layers reach some
    tokens further back. Embeddings and MLM head are shared with the encoder.
    """

    needs_generator = False
    word_losses = ("encoder_loss", "decoder_loss")

    def __init__(self, model: BertForMaskedLM, collator: NextTokenCollator) -> None:
        super().__init__()
        self.model = model
        self.collator = collator
        self.decoder = nn.ModuleList(BertLayer(model.config) for _ in range(LAYERS))
        self.decoder.apply(model._init_weights)

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "SEED":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"SEED needs a BERT encoder with its MLM head, not {type(encoder).__name__}")
        return cls(encoder, NextTokenCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def decode(self, cls: Tensor, original_ids: Tensor) -> Tensor:
        """Return the decoder's states (B, L, H), from ``cls`` (B, H) and the original tokens (B, L)."""
        embedded = self.model.bert.embeddings(input_ids=original_ids)
        hidden = torch.cat([cls[:, None].to(embedded.dtype), embedded[:, 1:]], dim=1)
        seen = seen_positions(hidden.shape[1]).to(hidden.device)
        mask = torch.zeros(seen.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(~seen, float("-inf"))
        for layer in self.decoder:
            output = layer(hidden, attention_mask=mask[None, None])
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss"}; the batch is `NextTokenCollator`'s."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        hidden = self.model.bert(**inputs).last_hidden_state
        encoder_loss = head_loss(self.model, hidden[batch["masked"]], batch["targets"])
        original, predicted = batch["original_ids"], batch["predicted"]
        targets = original.roll(-1, dims=1)[predicted]
        decoder_loss = head_loss(self.model, self.decode(hidden[:, 0], original)[predicted], targets)
        return {
            "loss": encoder_loss + decoder_loss,
            "encoder_loss": encoder_loss.detach(),
            "decoder_loss": decoder_loss.detach(),
        }
