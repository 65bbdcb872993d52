"""SimLM with a generator that goes on learning beside the encoder (Table 12, "joint train")."""

from torch import Tensor
from transformers import ElectraForMaskedLM, PreTrainedModel

from simlm.pretraining.batch import Batch
from simlm.pretraining.generator import Replacer
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.replaced_lm import ReplacedLM, word_losses
from simlm.pretraining.vocabulary_loss import word_rows

GENERATOR_WEIGHT = 0.2


def learn_and_sample(replacer: Replacer, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return a learning generator's loss, and the passages (tokens) with the encoder's masked positions resampled.

    One pass over ``NestedMaskCollator``'s batch gives both: the mean cross-entropy at the masked tokens, and samples
    through which no gradient flows.
    """
    original, generator = batch["input_ids"], replacer.generator
    masked_ids = original.masked_fill(batch["encoder_mask"], replacer.mask_token)
    hidden = batch.encode(generator.electra, masked_ids)
    rows, output = word_rows(generator, batch.at(hidden, "encoder_mask"))
    loss = batch.word_loss(rows, output, batch.at(original, "encoder_mask"), "encoder_mask")
    return loss, batch.sampled(rows, output, "encoder")


def let_learn(replacer: Replacer) -> Replacer:
    """Let the replacer's generator be trained, its dropout on in training as that of every model that learns."""
    replacer.generator.requires_grad_(True)
    replacer.dropout = True
    return replacer


class JointReplacedLM(ReplacedLM):
    """Replaced LM plus 0.2 x the generator's own masked language modelling (SimLM, Wang et al., ACL 2023, Table 12).

    A generator that learns beside the encoder is ELECTRA's (Clark et al., ICLR 2020). Inputs: SimLM's, the passage with
    its masked tokens (30 % for the encoder, 50 % for the decoder, nested) resampled by the generator. Loss: L_enc +
    L_dec as in replaced LM, + 0.2 L_gen, a cross-entropy, the mean over the encoder's masked tokens.

    The generator is trained on the tokens that are masked for the encoder, and on no others, by the same optimiser; the
    pass that gives its loss is the one the encoder's input is sampled from. No gradient flows through the sampling, nor
    through the pass for the decoder's input. Its dropout is on in training, as that of every model that learns. "Joint
    train with random init" is this objective with a generator that has not been trained before. Only the encoder is
    kept.
    """

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "JointReplacedLM":
        made = super().build(encoder, generator, pieces, config)
        assert isinstance(made, cls)
        let_learn(made.replacer)
        return made

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "decoder_loss", "generator_loss"}; the batch is ``NestedMaskCollator``'s."""
        generator_loss, encoder_ids = learn_and_sample(self.replacer, batch)
        decoder_ids = batch.replaced(self.replacer, "decoder")
        losses = word_losses(self.model, batch, encoder_ids, decoder_ids, "counted", "counted")
        return losses | {
            "loss": losses["loss"] + GENERATOR_WEIGHT * generator_loss,
            "generator_loss": generator_loss.detach(),
        }
