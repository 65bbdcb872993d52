"""Enc-Dec RTD, a row of SimLM's Table 7 (Wang et al., ACL 2023, Section 5.1): replaced token detection on both sides.

Replaced token detection is ELECTRA's (Clark et al., ICLR 2020): tell of each token whether a generator put it there.
"""

from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from ablations.objectives.detection import detection_head, detection_loss, freeze_vocabulary_head
from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.objective import ObjectiveConfig, PackableObjective
from simlm.pretraining.replaced_lm import NestedMaskCollator, replacing_bottleneck


class EncDecRTD(PackableObjective):
    """Enc-Dec RTD: encoder and decoder each tell of every token whether it is the original or a replacement.

    Inputs: SimLM's; each side reads the passage with its masked tokens (30 % and 50 %, nested) resampled by the frozen
    generator, in separate passes. Labels: a token is replaced when it differs from the original, so that a sample equal
    to the original counts as original (as in ELECTRA). Loss: L_enc + L_dec, each a binary cross-entropy, a mean over
    the non-special tokens of the micro-batch.

    The paper leaves the rest open. Chosen here: a head like that of ELECTRA's discriminator, fresh, and shared by both
    sides as SimLM shares its MLM head; the tokens that SimLM counts, masked or not (ELECTRA counts [CLS] and [SEP]
    too); both sides weigh 1, and so do both classes. The encoder's MLM head has no part in this loss and is frozen.
    """

    needs_generator = True

    def __init__(
        self, model: BottleneckModel, replacer: Replacer, head: nn.Sequential, collator: NestedMaskCollator
    ) -> None:
        super().__init__()
        self.model = model
        self.replacer = replacer
        self.head = head
        self.collator = collator
        freeze_vocabulary_head(model.encoder)

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "EncDecRTD":
        model, replacer = replacing_bottleneck("Enc-Dec RTD", encoder, generator, pieces, config)
        head = detection_head(model.encoder.config.hidden_size, model.encoder.config.initializer_range, config.seed)
        return cls(model, replacer, head, NestedMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model.encoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss"}; the batch is ``NestedMaskCollator``'s."""
        encoder_ids = batch.replaced(self.replacer, "encoder")
        decoder_ids = batch.replaced(self.replacer, "decoder")
        hidden = batch.encode(self.encoder.bert, encoder_ids)
        encoder_loss = detection_loss(self.head, batch, hidden, encoder_ids, "counted")
        decoded = batch.decode(self.model, hidden, decoder_ids)
        decoder_loss = detection_loss(self.head, batch, decoded, decoder_ids, "counted")
        return {
            "loss": encoder_loss + decoder_loss,
            "encoder_loss": encoder_loss.detach(),
            "decoder_loss": decoder_loss.detach(),
        }
