"""SimLM's replaced language modelling over packs: the losses of ``ReplacedLM``, with its modules and its masks.

The padded objective stays what trains on a CPU; this runs its weights without padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simlm.packed.forwards import embedded, hidden_states, prepare, through
from simlm.packed.inputs import OnDevice, Pack, even_parts, pack, rounded_up, shared_size
from simlm.packed.sampling import ROWS, sample_rows
from simlm.packed.vocabulary import weighted_vocabulary_loss
from simlm.pretraining.objective import Example
from simlm.pretraining.replaced_lm import Draw, NestedMaskCollator, ReplacedLM

GROUP = 64
"""Passages of the released micro-batch."""
COUNTED = 1_024
"""Counted positions are rounded up to a multiple of it where shapes are few."""


@dataclass(frozen=True)
class Masked(OnDevice):
    """Positions in the pack (M,) to be resampled, and a uniform number in float64 (M,) each.

    Rounding M up repeats the first position with its number, and so its token.
    """

    positions: Tensor
    uniforms: Tensor


@dataclass(frozen=True)
class ReplacedPack(OnDevice):
    """A part of a batch: the original passages, both masks, and what counts.

    counted (N,) positions, targets (N,) tokens there and weights float32 (N,), 0 for those that round N up. Weighted
    sums over all parts of a batch are the mean, over its groups of passages, of the mean over a group's counted tokens;
    a last group with fewer passages weighs as much less.
    """

    pack: Pack
    encoder: Masked
    decoder: Masked
    counted: Tensor
    targets: Tensor
    weights: Tensor

    @property
    def tokens(self) -> int:
        """How many are real."""
        return self.pack.tokens


@dataclass(frozen=True)
class PackingCollator:
    """Cuts a whole batch into packs of about equal token counts, with ``masks``' draws.

    max_tokens: of a pack; memory on the device sets it. round_to: tokens are rounded up to a multiple of it, and
    counted positions, masked ones and sequences to fixed multiples, so that compiled code meets few shapes; 0 rounds
    nothing. max_length: as ``pack``'s. group: passages whose counted tokens are averaged together, the micro-batch.
    """

    masks: NestedMaskCollator
    max_tokens: int
    round_to: int = 0
    max_length: int | None = None
    group: int = GROUP

    def __call__(self, examples: Sequence[Example]) -> list[ReplacedPack]:
        draws = [self.masks.draw(example) for example in examples]
        counted = [self.masks.pieces.counted(example.ids) for example in examples]
        counts = [int(passage.sum()) for passage in counted]
        groups = [counts[start : start + self.group] for start in range(0, len(counts), self.group)]
        weights = [len(one) / len(counts) / max(1, sum(one)) for one in groups for _ in one]
        lengths = np.array([len(example.ids) for example in examples])
        parts = list(even_parts(lengths, self.max_tokens))
        tokens = shared_size(lengths, parts, self.round_to) if self.round_to else None
        return [self._part(examples[part], draws[part], counted[part], weights[part], tokens) for part in parts]

    def _part(
        self,
        examples: Sequence[Example],
        draws: Sequence[Draw],
        counted: Sequence[NDArray[np.bool_]],
        weights: Sequence[float],
        tokens: int | None,
    ) -> ReplacedPack:
        rows = [(example.ids, example.types) for example in examples]
        sequences = GROUP if self.round_to else 1
        packed = pack(rows, self.masks.pieces.specials.pad, tokens, sequences, self.max_length)
        positions = np.flatnonzero(np.concatenate(counted))
        mine = np.repeat(np.array(weights, dtype=np.float32), [int(passage.sum()) for passage in counted])
        targets = packed.input_ids[0].numpy()[positions]
        shares = self._rounded(mine, COUNTED)
        shares[len(positions) :] = 0
        return ReplacedPack(
            packed,
            self._masked([draw.encoder for draw in draws], [draw.encoder_uniforms for draw in draws]),
            self._masked([draw.decoder for draw in draws], [draw.decoder_uniforms for draw in draws]),
            torch.from_numpy(self._rounded(positions, COUNTED)),
            torch.from_numpy(self._rounded(targets, COUNTED)),
            torch.from_numpy(shares),
        )

    def _masked(self, masks: Sequence[NDArray[np.bool_]], uniforms: Sequence[NDArray[np.float64]]) -> Masked:
        positions, numbers = np.flatnonzero(np.concatenate(masks)), np.concatenate(uniforms)
        return Masked(*(torch.from_numpy(self._rounded(values, ROWS)) for values in (positions, numbers)))

    def _rounded(self, values: NDArray[Any], multiple_of: int) -> NDArray[Any]:
        """As many as a multiple, by repeating the first; none stays none."""
        if not self.round_to or len(values) == 0:
            return values
        return np.pad(values, (0, rounded_up(len(values), multiple_of) - len(values)), constant_values=values[0])


class PackedReplacedLM(nn.Module):
    """``objective``'s loss over one part of a batch; its weights are trained in place.

    compiled: compile the layers. gumbel: how the generator's tokens are drawn (``sample_rows``).
    """

    def __init__(self, objective: ReplacedLM, compiled: bool = False, gumbel: bool = False) -> None:
        super().__init__()
        self.objective = objective
        self.gumbel = gumbel
        prepare(objective, compiled)
        if compiled:
            objective.encoder.cls.predictions.transform.compile(dynamic=False)

    def forward(self, part: ReplacedPack) -> dict[str, Tensor]:
        """{"loss", "encoder_loss", "decoder_loss"}: the part's share of each; over a batch they add up."""
        packed, model = part.pack, self.objective.model
        encoder_ids = self.replaced(packed, part.encoder)
        decoder_ids = self.replaced(packed, part.decoder)
        hidden = hidden_states(model.encoder.bert, packed, encoder_ids)
        encoder_loss = self._loss(hidden, part)
        decoder_loss = self._loss(self.decoded(hidden, packed, decoder_ids), part)
        return {
            "loss": encoder_loss + decoder_loss,
            "encoder_loss": encoder_loss.detach(),
            "decoder_loss": decoder_loss.detach(),
        }

    @torch.no_grad()
    def replaced(self, packed: Pack, masked: Masked) -> Tensor:
        """The passages (1, T) with the masked positions resampled by the generator, as ``Replacer`` does."""
        generator = self.objective.replacer.generator
        hidden_ids = packed.input_ids.clone()
        hidden_ids[0, masked.positions] = self.objective.replacer.mask_token
        hidden = hidden_states(generator.electra, packed, hidden_ids)[0, masked.positions]  # (M, H)
        rows = generator.generator_predictions(hidden)
        replaced = packed.input_ids.clone()
        replaced[0, masked.positions] = sample_rows(rows, generator.generator_lm_head, masked.uniforms, self.gumbel)
        return replaced

    def decoded(self, hidden: Tensor, packed: Pack, decoder_ids: Tensor) -> Tensor:
        """Last hidden states (1, T, H) of the decoder; ``hidden`` (1, T, H) gives each passage's [CLS], no more."""
        model = self.objective.model
        own = embedded(model.encoder.bert, packed.without_types(), decoder_ids)  # token type 0 everywhere
        first = (packed.position_ids == 0).unsqueeze(-1)  # (1, T, 1)
        return through(model.decoder, torch.where(first, hidden.to(own.dtype), own), packed)

    def _loss(self, hidden: Tensor, part: ReplacedPack) -> Tensor:
        head = self.objective.encoder.cls.predictions
        states = head.transform(hidden[0, part.counted])
        return weighted_vocabulary_loss(states, head.decoder, part.targets, part.weights)
