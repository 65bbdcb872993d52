"""DiffCSE (Chuang et al., NAACL 2022): like vectors for a text read twice, from which its replaced tokens are told."""

from torch import Tensor, nn
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from ablations.objectives.detection import detection_head, detection_loss, freeze_vocabulary_head
from ablations.objectives.paired import pair_loss
from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.objective import ObjectiveConfig, PackableObjective
from simlm.pretraining.replaced_lm import NestedMaskCollator, matching

TEMPERATURE = 0.05
DETECTION_WEIGHT = 0.005
DROPOUT = 0.1


class DiffCSE(PackableObjective):
    """Chuang et al., "DiffCSE: Difference-based Contrastive Learning for Sentence Embeddings" (NAACL 2022).

    Inputs: the passage, twice, and the passage with its masked tokens (the encoder's, 30 % as there) resampled by the
    frozen generator. Loss: SimCSE's (Gao, Yao, Chen, EMNLP 2021): of each first reading, -log softmax of the cosines at
    temperature 0.05 with the second readings of the batch, at its own; they differ by dropout alone. Plus 0.005 x
    detection: a discriminator reads the resampled passage with the passage's vector in place of [CLS], and tells of
    each token that is not special whether it was replaced. Only the encoder is kept.

    Stated choices. Dropout is BERT's 0.1 at every scale, since without it the two readings are one. The discriminator
    begins as a copy of the encoder's layers, as in the release, and shares its embeddings, which there are its own. The
    vector is [CLS] as it is, without the projection that the paper throws away after training. Tokens are sampled, as
    for SimLM; the release takes the likeliest. The discriminator reads one resampled passage, not one for each reading.
    """

    needs_generator = True
    whole_groups = True

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
    ) -> "DiffCSE":
        bert, electra = matching("DiffCSE", encoder, generator)
        for module in bert.modules():
            if isinstance(module, nn.Dropout):
                module.p = DROPOUT
        model = BottleneckModel(bert, decoder_layers=bert.config.num_hidden_layers)
        head = detection_head(bert.config.hidden_size, bert.config.initializer_range, config.seed)
        replacer = Replacer(electra, pieces.specials.mask, config.generator_dropout)
        return cls(model, replacer, head, NestedMaskCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.model.encoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "contrastive_loss", "detection_loss"}; the batch is ``NestedMaskCollator``'s."""
        first, second = (batch.encode(self.encoder.bert, batch["input_ids"]) for _ in range(2))
        readings = batch.firsts(first), batch.firsts(second)
        contrastive = batch.by_group(lambda one, other: pair_loss(one, other, TEMPERATURE, True), *readings)
        resampled = batch.replaced(self.replacer, "encoder")
        decoded = batch.decode(self.model, first, resampled)
        detection = detection_loss(self.head, batch, decoded, resampled, "counted")
        return {
            "loss": contrastive + DETECTION_WEIGHT * detection,
            "contrastive_loss": contrastive.detach(),
            "detection_loss": detection.detach(),
        }
