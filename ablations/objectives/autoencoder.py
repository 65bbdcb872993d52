"""AutoEncoder, a row of SimLM's Table 7 (Wang et al., ACL 2023, Section 5.1): a passage from its vector alone."""

from torch import Tensor

from ablations.objectives.mask_bottleneck import MaskBottleneck
from simlm.pretraining.batch import Batch
from simlm.pretraining.replaced_lm import word_loss


class AutoEncoder(MaskBottleneck):
    """AutoEncoder: the decoder restores the whole passage from the encoder's [CLS] and from nothing else.

    Inputs: the clean passage to the encoder; to the decoder the encoder's [CLS] at position 0 and [MASK] in place of
    every other token that is not special. Loss: the decoder's alone, cross-entropy against the original token, a mean
    over the non-special tokens of the micro-batch.

    The paper leaves the rest open. Chosen here: the encoder has no loss of its own, since it could copy what it reads;
    SimLM's architecture, shared MLM head and counted tokens as they are; special tokens keep their places in the
    decoder's input and are not counted, so that the decoder knows how long a passage and its title are.
    """

    name = "AutoEncoder"
    word_losses = ("loss",)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss"}. Of ``NestedMaskCollator``'s batch the masks and the uniform numbers are not used."""
        original = batch["input_ids"]
        hidden = batch.encode(self.encoder.bert, original)
        decoded = batch.decode(self.model, hidden, original.masked_fill(batch["counted"], self.mask_token))
        return {"loss": word_loss(self.model, batch, decoded, "counted")}
