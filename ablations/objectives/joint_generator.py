"""SimLM with a generator that goes on learning beside the encoder (Table 12, "joint train")."""

from torch import Tensor
from transformers import ElectraForMaskedLM, PreTrainedModel

from simlm.pretraining.generator import Replacer, masked_rows, sample_tokens
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Setting
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss

GENERATOR_WEIGHT = 0.2


def learn_and_sample(replacer: Replacer, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The loss of a learning generator, and the passages (B, L) with the encoder's masked positions resampled.

    One pass over ``NestedMaskCollator``'s batch gives both: the mean cross-entropy at the masked tokens, and samples
    through which no gradient flows.
    """
    original, masked = batch["input_ids"], batch["encoder_mask"]
    generator, head = replacer.generator, replacer.generator.generator_lm_head
    inputs = {
        "input_ids": original.masked_fill(masked, replacer.mask_token),
        "attention_mask": batch["attention_mask"],
        "token_type_ids": batch["token_type_ids"],
    }
    rows = masked_rows(generator, inputs, masked)
    loss = mean_vocabulary_loss(rows, head, original[masked])
    read = original.clone()
    read[masked] = sample_tokens(head(rows).detach(), batch["encoder_uniforms"])
    return loss, read


def let_learn(replacer: Replacer) -> Replacer:
    """The replacer with a generator that is trained, its dropout on in training as that of every model that learns."""
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
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, setting: Setting
    ) -> "JointReplacedLM":
        made = super().build(encoder, generator, pieces, setting)
        assert isinstance(made, cls)
        let_learn(made.replacer)
        return made

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """{"loss", "encoder_loss", "decoder_loss", "generator_loss"}; the batch is ``NestedMaskCollator``'s."""
        generator_loss, encoder_ids = learn_and_sample(self.replacer, batch)
        passages = (batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        decoder_ids = self.replacer(*passages, batch["decoder_mask"], batch["decoder_uniforms"])
        losses = self.sides(encoder_ids, decoder_ids, batch)
        return losses | {
            "loss": losses["loss"] + GENERATOR_WEIGHT * generator_loss,
            "generator_loss": generator_loss.detach(),
        }
