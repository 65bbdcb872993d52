"""RetroMAE (Liu and Shao, 2022): a one-layer decoder rebuilds every token from [CLS] and a few others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel
from transformers.models.bert.modeling_bert import BertAttention, BertIntermediate, BertOutput

from simlm.errors import UserError
from simlm.pretraining.masking import WordPieces, counted_tokens, stateless_rng
from simlm.pretraining.mlm import MaskCollator
from simlm.pretraining.objective import Example, Objective, ObjectiveConfig
from simlm.pretraining.vocabulary_loss import head_loss

# The encoder's mask has the key (seed, epoch, passage); the decoder's masks have this behind it, a stream of their own.
DECODER_STREAM = 1


def visible_positions(length: int, rate: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask (length, length), true where row i sees position j.

    Every row sees position 0, where the [CLS] vector stands; no row from 1 on sees itself; any other position is
    visible with probability 1 - ``rate``, drawn for each row anew.
    """
    visible = rng.random((length, length)) >= rate
    np.fill_diagonal(visible, False)
    visible[:, 0] = True
    return visible


@dataclass(frozen=True)
class PositionMaskCollator:
    """``MaskCollator``'s batch for the encoder, and a mask of positions for the decoder, keyed alike.

    Added are ``original_ids`` (B, L), ``counted`` (B, L) of bool, true at every token that is not special, and
    ``visible`` (B, L, L) of bool. A row of padding sees position 0, and no row sees padding.
    """

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        batch = MaskCollator(self.pieces, self.config)(examples)
        original = batch["input_ids"].clone()
        original[batch["masked"]] = batch["targets"]
        rows, width = original.shape
        visible = np.zeros((rows, width, width), dtype=bool)
        visible[:, :, 0] = True
        for table, example in zip(visible, examples, strict=True):
            rng = stateless_rng(self.config.seed, example.epoch, example.passage, DECODER_STREAM)
            length = len(example.ids)
            table[:length, :length] = visible_positions(length, self.config.decoder_rate, rng)
        return batch | {
            "original_ids": original,
            "counted": counted_tokens(original, batch["attention_mask"], self.pieces.specials),
            "visible": torch.from_numpy(visible),
        }


class EnhancedDecoder(nn.Module):
    """One BERT layer whose queries are not its keys and values; the residual connection is the queries'."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertAttention(config, is_cross_attention=True)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config)

    def forward(self, queries: Tensor, states: Tensor, visible: Tensor) -> Tensor:
        """Attend from ``queries`` (B, L, H) to ``states`` (B, L, H) where ``visible`` (B, L, L); return (B, L, H)."""
        mask = torch.zeros_like(visible, dtype=queries.dtype).masked_fill(~visible, float("-inf"))
        attended, _ = self.attention(queries, encoder_hidden_states=states, encoder_attention_mask=mask[:, None])
        output: Tensor = self.output(self.intermediate(attended), attended)
        return output


class RetroMAE(Objective):
    """Xiao, Liu, Shao, Cao, "RetroMAE: Pre-Training Retrieval-oriented Language Models Via Masked Auto-Encoder", 2022.

    Inputs: to the encoder, the passage with whole words masked at ``encoder_rate`` (30 %); to the decoder, the original
    passage through a mask of positions at ``decoder_rate`` (50 %). Enhanced decoding: position i's query is the
    encoder's last-layer [CLS] vector plus the embedding of position i; keys and values are the [CLS] vector, as it is,
    and from position 1 on the embeddings of the original tokens; row i sees what ``visible_positions`` says.
    Loss: the encoder's MLM, a mean over the masked tokens, plus the decoder's cross-entropy, a mean over all tokens
    that are not special. MLM head and embeddings are shared.

    Where paper and release differ or are silent: masked tokens all become [MASK], as the paper writes (the release does
    80/10/10). The decoder layer is fresh, with the encoder's initialiser, not a copy of one of its layers, as in the
    release. Its keys are the encoder's embedding output, layer norm, token type 0 and dropout included, while a query
    has no norm: both as in the release. A row's visible positions are independent draws for each position, as the paper
    says, so that [SEP] can be hidden too; the release draws whole words, and lets rows share a mask. Position 0's own
    row sees [CLS], because a row must see something; it is never predicted.
    """

    needs_generator = False
    word_losses = ("encoder_loss", "decoder_loss")

    def __init__(self, model: BertForMaskedLM, collator: PositionMaskCollator) -> None:
        super().__init__()
        self.model = model
        self.collator = collator
        self.decoder = EnhancedDecoder(model.config)
        self.decoder.apply(model._init_weights)

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "RetroMAE":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"RetroMAE needs a BERT encoder with its MLM head, not {type(encoder).__name__}")
        return cls(encoder, PositionMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def decode(self, cls: Tensor, original_ids: Tensor, visible: Tensor) -> Tensor:
        """Return the decoder's states (B, L, H) of ``cls`` (B, H), original tokens (B, L), ``visible`` (B, L, L)."""
        embeddings = self.model.bert.embeddings
        positions = embeddings.position_embeddings.weight[: original_ids.shape[1]]  # (L, H)
        embedded = embeddings(input_ids=original_ids)  # (B, L, H)
        states = torch.cat([cls[:, None], embedded[:, 1:]], dim=1)
        decoded: Tensor = self.decoder(cls[:, None] + positions, states, visible)
        return decoded

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss"}; the batch is ``PositionMaskCollator``'s."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        hidden = self.model.bert(**inputs).last_hidden_state
        encoder_loss = head_loss(self.model, hidden[batch["masked"]], batch["targets"])
        original, counted = batch["original_ids"], batch["counted"]
        decoded = self.decode(hidden[:, 0], original, batch["visible"])
        decoder_loss = head_loss(self.model, decoded[counted], original[counted])
        return {
            "loss": encoder_loss + decoder_loss,
            "encoder_loss": encoder_loss.detach(),
            "decoder_loss": decoder_loss.detach(),
        }
