"""Replaced token detection beside a small generator: ELECTRA's pre-training (Clark et al., ICLR 2020).

What the ELECTRA-like PLM of Tables 1 and 5 is made by below paper scale.
"""

from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from ablations.objectives.detection import detection_head, detection_loss, freeze_vocabulary_head
from ablations.objectives.joint_generator import learn_and_sample, let_learn
from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import ObjectiveConfig, PackableObjective
from simlm.pretraining.replaced_lm import NestedMaskCollator, matching

DETECTION_WEIGHT = 50.0


class ReplacedTokenDetection(PackableObjective):
    """Clark, Luong, Le, Manning, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", 2020.

    Inputs: the passage with its masked tokens (the encoder's, 15 % as there) resampled by a generator that learns
    beside the encoder. Loss: the generator's MLM, a mean over the masked tokens, plus 50 x the encoder's detection: a
    binary cross-entropy of every token, [CLS] and [SEP] included, a mean over all tokens that are not padding. A sample
    equal to the original counts as original. No gradient flows through the sampling. Only the encoder is kept.

    Stated choices. The encoder is BERT's body, which is ELECTRA's where embeddings are as wide as layers, under a fresh
    head like ELECTRA's; BERT's own MLM head has no part and is frozen. Generator and encoder do not share embeddings,
    as they do in ELECTRA: below paper scale they differ in width, and the generator has no projection. Masks cover
    whole words and every masked token becomes [MASK] for the generator, as in the MLM that this is compared with.
    """

    needs_generator = True

    def __init__(
        self, model: BertForMaskedLM, replacer: Replacer, head: nn.Sequential, collator: NestedMaskCollator
    ) -> None:
        super().__init__()
        self.model = model
        self.replacer = replacer
        self.head = head
        self.collator = collator
        freeze_vocabulary_head(model)

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "ReplacedTokenDetection":
        bert, electra = matching("RTD", encoder, generator)
        replacer = let_learn(Replacer(electra, pieces.specials.mask, dropout=True))
        head = detection_head(bert.config.hidden_size, bert.config.initializer_range, config.seed)
        return cls(bert, replacer, head, NestedMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "generator_loss", "detection_loss"}; the batch is ``NestedMaskCollator``'s."""
        generator_loss, read = learn_and_sample(self.replacer, batch)
        detection = detection_loss(self.head, batch, batch.encode(self.model.bert, read), read, "attention_mask")
        return {
            "loss": generator_loss + DETECTION_WEIGHT * detection,
            "generator_loss": generator_loss.detach(),
            "detection_loss": detection.detach(),
        }
