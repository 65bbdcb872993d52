"""Enc-Dec MLM, a row of SimLM's Table 7 (Wang et al., ACL 2023, Section 5.1): the bottleneck without a generator."""

from torch import Tensor

from ablations.objectives.mask_bottleneck import MaskBottleneck


class EncDecMLM(MaskBottleneck):
    """Enc-Dec MLM: encoder and decoder each predict the tokens that are masked for them.

    Inputs: the passage with [MASK] in place of every token under the encoder's mask (30 %), and the encoder's [CLS]
    with the passage under the decoder's mask (50 %). Loss: L_enc + L_dec, each a cross-entropy against the original
    tokens, a mean over the masked tokens of its side in the micro-batch.

    The paper leaves the rest open. Chosen here: SimLM's nested whole-word masks as they are, so that a passage has the
    very masks of SimLM's run and the decoder predicts the encoder's masked tokens too; every masked token becomes
    [MASK] (no 80/10/10), which is what SimLM's generator reads; both sides weigh 1.
    """

    name = "Enc-Dec MLM"
    word_losses = ("encoder_loss", "decoder_loss")

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """{"loss", "encoder_loss", "decoder_loss"}; of ``NestedMaskCollator``'s batch the uniform numbers go unused."""
        original, attention = batch["input_ids"], batch["attention_mask"]
        # The collator masks no special token, so every masked one counts.
        encoder_mask, decoder_mask = batch["encoder_mask"], batch["decoder_mask"]
        encoder_ids = original.masked_fill(encoder_mask, self.mask_token)
        decoder_ids = original.masked_fill(decoder_mask, self.mask_token)
        hidden = self.model.encode(encoder_ids, attention, batch["token_type_ids"])
        encoder_loss = self.model.loss(hidden, original, encoder_mask)
        decoded = self.model.decode(hidden[:, 0], decoder_ids, attention)
        decoder_loss = self.model.loss(decoded, original, decoder_mask)
        return {
            "loss": encoder_loss + decoder_loss,
            "encoder_loss": encoder_loss.detach(),
            "decoder_loss": decoder_loss.detach(),
        }
