"""The generator that fills masked positions with plausible tokens (Section 3.1).

An ELECTRA-style masked language model reads the masked passage; each masked position takes a token drawn from its full
softmax, which can be the original. No gradient flows through it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import ElectraForMaskedLM

from simlm.models.load import load_checkpoint

# The largest float32 below 1: a uniform number that rounds to 1 would point behind the last token.
BELOW_ONE = 1 - 2**-24


def load_generator(name_or_folder: str | Path) -> ElectraForMaskedLM:
    """An ELECTRA generator from the Hub or a local folder, in float32; UserError when that is not what is there."""
    model: ElectraForMaskedLM = load_checkpoint(ElectraForMaskedLM, name_or_folder)
    return model


def masked_rows(generator: ElectraForMaskedLM, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
    """What the output layer ``generator_lm_head`` reads at the M positions of ``where`` (B, L), in row-major order.

    ``inputs``: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each (B, L). Returns (M, E), as wide as the
    embeddings; no other position gets a row, and so none gets logits.
    """
    hidden = generator.electra(**inputs).last_hidden_state[where]  # (M, H)
    rows: Tensor = generator.generator_predictions(hidden)
    return rows


def sample_tokens(logits: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row from softmax(logits), by inverting the cumulative distribution at ``uniforms`` (M,) in [0, 1).

    ``logits`` (M, V) -> (M,) int64. One uniform number a row is far cheaper than a vocabulary of Gumbel noise.
    """
    weights = torch.exp(logits.float() - logits.float().amax(dim=1, keepdim=True))
    cumulative = weights.cumsum(dim=1)
    thresholds = uniforms[:, None].to(cumulative).clamp_max(BELOW_ONE) * cumulative[:, -1:]
    # right=True: the first token whose cumulative weight exceeds the threshold, so a weight of 0 is never drawn.
    return torch.searchsorted(cumulative, thresholds, right=True).squeeze(1)


class Replacer(nn.Module):
    """Replaces masked tokens by samples of a frozen generator.

    ``dropout`` keeps the generator's dropout on while its owner trains, as the released trainer does; the paper says
    frozen, which is ``dropout=False``.
    """

    def __init__(self, generator: ElectraForMaskedLM, mask_token: int, dropout: bool) -> None:
        super().__init__()
        self.generator = generator.requires_grad_(False)
        self.mask_token = mask_token
        self.dropout = dropout

    def train(self, mode: bool = True) -> "Replacer":
        super().train(mode)
        self.generator.train(mode and self.dropout)
        return self

    @torch.no_grad()
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, masked: Tensor, uniforms: Tensor
    ) -> Tensor:
        """The passages (B, L) with the positions of ``masked`` (B, L) resampled; ``uniforms`` (M,) in row-major order.

        The generator reads token types too, as in the released implementation.
        """
        inputs = {
            "input_ids": input_ids.masked_fill(masked, self.mask_token),
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
        }
        logits = self.generator.generator_lm_head(masked_rows(self.generator, inputs, masked))
        replaced = input_ids.clone()
        replaced[masked] = sample_tokens(logits, uniforms)
        return replaced
