"""The generator that fills masked positions with plausible tokens (Section 3.1), and how tokens are drawn from it.

An ELECTRA-style masked language model reads the masked passage; each masked position takes a token drawn from its full
softmax, which can be the original. No gradient flows through it.

On a CPU a token is drawn by inverting the cumulative distribution. On a GPU, packs are drawn from without computing the
softmax: noise from a hash is added to the logits, and the largest sum wins (the Gumbel-max trick). The noise of a row
depends on nothing but its key, which is the uniform number that the collator draws by (seed, epoch, passage): a draw
stays the same however passages are packed.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ElectraForMaskedLM

from simlm.models.load import load_checkpoint
from simlm.packed.fast_layers import mixed
from simlm.packed.forwards import compute_dtype
from simlm.pretraining.vocabulary_loss import aligned

BELOW_ONE = 1 - 2**-24
"""The largest float32 below 1: a uniform number that rounds to 1 would point behind the last token."""
ROWS = 2_048
"""Rows whose logits are held at a time on a GPU."""
GOLDEN = 0x9E3779B9 - (1 << 32)
"""An odd number, so that different columns stay different, which spreads them over all bits."""
LOG2_E = 1 / math.log(2)


def load_generator(name_or_folder: str | Path, epsilon: float = 0.0) -> ElectraForMaskedLM:
    """Load an ELECTRA generator in float32; UserError when that is not what is there.

    ``epsilon`` is that of the layer norm before the output layer. transformers 4.15, with which the released model was
    trained, had 1e-5 there; today it takes the configuration's 1e-12, which 0 leaves.
    """
    model: ElectraForMaskedLM = load_checkpoint(ElectraForMaskedLM, name_or_folder)
    norm: Any = model.generator_predictions.LayerNorm
    norm.eps = epsilon or norm.eps
    return model


def masked_rows(generator: ElectraForMaskedLM, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
    """Return what the output layer ``generator_lm_head`` reads at M masked positions, in row-major order.

    Args:
        generator: the generator.
        inputs: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each (B, L).
        where: bool (B, L), true at the M positions; no other gets logits.

    Returns:
        (M, E), as wide as the embeddings.
    """
    hidden = generator.electra(**inputs).last_hidden_state[where]  # (M, H)
    rows: Tensor = generator.generator_predictions(hidden)
    return rows


def sample_tokens(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one token a row from softmax(logits), by inverting the cumulative distribution.

    One uniform number a row is far cheaper than a vocabulary of Gumbel noise on a CPU.

    Args:
        logits: (M, V).
        uniforms: (M,) in [0, 1), at which the distribution is inverted.

    Returns:
        Token ids, int64 (M,).
    """
    weights = torch.exp(logits.float() - logits.float().amax(dim=1, keepdim=True))
    cumulative = weights.cumsum(dim=1)
    thresholds = uniforms[:, None].to(cumulative).clamp_max(BELOW_ONE) * cumulative[:, -1:]
    # right=True: the first token whose cumulative weight exceeds the threshold, so a weight of 0 is never drawn.
    return torch.searchsorted(cumulative, thresholds, right=True).squeeze(1)


def keys_of(uniforms: Tensor) -> Tensor:
    """Turn uniform numbers in float64 (M,), which have 53 random bits, into the int32 keys (M,) by which rows draw."""
    scaled = uniforms.double() * 2.0**26
    high = scaled.floor()
    low = ((scaled - high) * 2.0**27).floor()
    return mixed(mixed(high.to(torch.int32)) ^ low.to(torch.int32))


def gumbel_argmax(logits: Tensor, keys: Tensor) -> Tensor:
    """Draw one token a row from softmax(logits), by noise: (M, V) and int32 keys (M,) -> int64 (M,)."""
    columns = torch.arange(logits.shape[1], device=logits.device, dtype=torch.int32)
    noise = mixed(keys[:, None] ^ (columns * GOLDEN))
    # The smallest of exponential numbers wins, so the precise end of the floats has to be the small one.
    uniform = ((noise & 0x7FFFFFFF).float() + 0.5) * 2.0**-31
    small = uniform * (1 + uniform * (0.5 + uniform * (1 / 3))) * LOG2_E
    exponential = torch.where(uniform < 2.0**-8, small, -torch.log2(1 - uniform))
    return (logits.float() * LOG2_E - torch.log2(exponential)).argmax(dim=1)


_compiled_gumbel_argmax = torch.compile(gumbel_argmax, dynamic=False)


def sample_by_noise(rows: Tensor, output: nn.Linear, uniforms: Tensor) -> Tensor:
    """Draw a token (M,) for each of ``rows`` (M, E) under the layer ``output`` (E -> V), ``ROWS`` rows at a time.

    ``uniforms`` are float64 (M,) in [0, 1).
    """
    matrix, bias = aligned(output.weight, output.bias, compute_dtype(rows))
    keys = keys_of(uniforms)
    draw = _compiled_gumbel_argmax if rows.is_cuda else gumbel_argmax
    drawn = [
        draw(torch.addmm(bias, rows[start : start + ROWS].to(matrix.dtype), matrix.t()), keys[start : start + ROWS])
        for start in range(0, len(rows), ROWS)
    ]
    return torch.cat(drawn) if drawn else torch.empty(0, dtype=torch.int64, device=rows.device)


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
        """Return the passages (B, L) with the positions of ``masked``, bool (B, L), drawn anew.

        The generator reads token types too, as in the released implementation. ``uniforms`` are (M,) in row-major
        order.
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
