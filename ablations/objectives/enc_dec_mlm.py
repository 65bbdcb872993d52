"""Enc-Dec MLM, a row of SimLM's Table 7 (Wang et al., ACL 2023, Section 5.1): the bottleneck without a generator."""

from torch import Tensor

from ablations.objectives.mask_bottleneck import MaskBottleneck
from simlm.pretraining.batch import Batch
from simlm.pretraining.replaced_lm import word_losses


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

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss"}; uniform numbers are not used."""
        encoder_ids = batch["input_ids"].masked_fill(batch["encoder_mask"], self.mask_token)
        decoder_ids = batch["input_ids"].masked_fill(batch["decoder_mask"], self.mask_token)
        # The collator masks no special token, so every masked one counts.
        return word_losses(self.model, batch, encoder_ids, decoder_ids, "encoder_mask", "decoder_mask")
