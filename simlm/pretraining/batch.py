"""What an objective computes its losses from, in whichever layout the passages of a batch lie.

`PaddedBatch` is the batch of a collator as it is; `simlm.pretraining.packed_batch` has the one without padding. Tokens,
and what there is one of for each token, are (B, L) where passages are padded and (1, T) where they are packed:
"(tokens)" below. A mask is named by its key in the batch and has M true places; ``attention_mask`` is that of all
tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from simlm.packed.forwards import Body
from simlm.pretraining.generator import Replacer, sample_tokens
from simlm.pretraining.model import BottleneckModel, bridged
from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss


class Batch(ABC):
    """A collator's tensors by name, and whatever depends on the layout of the passages.

    At places that are not tokens of a passage, states may be anything: losses are computed ``at`` the places of a mask.
    """

    @abstractmethod
    def __getitem__(self, name: str) -> Tensor:
        """Return what the collator made under that name: (tokens) instead of (B, L), and other shapes as they are."""

    @abstractmethod
    def encode(self, body: Body, input_ids: Tensor) -> Tensor:
        """Return the last hidden states (tokens, H) for ``input_ids`` (tokens) with the passages' own token types."""

    @abstractmethod
    def encode_twice(self, body: Body, input_ids: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Return the states (tokens, H) after ``layer`` layers, and the last ones."""

    @abstractmethod
    def bridge(self, layers: nn.ModuleList, config: PretrainedConfig, late: Tensor, states: Tensor) -> Tensor:
        """Return the states (tokens, H) after layers that read ``late`` at each [CLS] and ``states`` elsewhere.

        Args:
            layers: layers of BERT.
            config: that of the model which the layers belong to.
            late: (tokens, H), of which the [CLS] states are read.
            states: (tokens, H).
        """

    @abstractmethod
    def decode(self, model: BottleneckModel, hidden: Tensor, input_ids: Tensor) -> Tensor:
        """Return the decoder's states (tokens, H), from the encoder's ``hidden`` and the decoder's ``input_ids``."""

    @abstractmethod
    def replaced(self, replacer: Replacer, side: str) -> Tensor:
        """Return the passages (tokens) as the ``side``, "encoder" or "decoder", reads them: masked tokens drawn anew.

        The batch is `NestedMaskCollator`'s.
        """

    @abstractmethod
    def sampled(self, rows: Tensor, output: nn.Linear, side: str) -> Tensor:
        """Return the passages (tokens) with a token drawn from softmax(output(rows)) at each place of a side's mask.

        ``rows`` (M, E) are those ``at`` the mask. No gradient flows through it.
        """

    @abstractmethod
    def at(self, values: Tensor, mask: str) -> Tensor:
        """Return the ``values`` (tokens, ...) at the mask's places, in their order: (M, ...).

        In packs some more may follow, which count nothing in ``mean`` and ``word_loss``.
        """

    @abstractmethod
    def mean(self, values: Tensor, mask: str) -> Tensor:
        """Return the mean over a micro-batch of ``values`` (M,) at the mask's places; 0 where there are none.

        Of a pack: its share of that mean.
        """

    @abstractmethod
    def word_loss(self, rows: Tensor, output: nn.Linear, targets: Tensor, mask: str) -> Tensor:
        """Return the ``mean`` cross-entropy of ``output(rows)``, (M, E) -> (M, V), against ``targets`` (M,)."""

    @abstractmethod
    def firsts(self, states: Tensor) -> Tensor:
        """Return each passage's [CLS] state, (B, H)."""

    @abstractmethod
    def by_group(self, loss: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Call ``loss`` on each micro-batch's ``rows``, (B, ...) with one for each passage; return the mean."""


class PaddedBatch(Batch):
    """One micro-batch, as a collator makes it."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def _inputs(self, input_ids: Tensor) -> dict[str, Tensor]:
        return {
            "input_ids": input_ids,
            "attention_mask": self["attention_mask"],
            "token_type_ids": self["token_type_ids"],
        }

    def encode(self, body: Body, input_ids: Tensor) -> Tensor:
        hidden: Tensor = body(**self._inputs(input_ids)).last_hidden_state
        return hidden

    def encode_twice(self, body: Body, input_ids: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        output = body(**self._inputs(input_ids), output_hidden_states=True)
        return output.hidden_states[layer], output.last_hidden_state  # number 0 is the embedding output

    def bridge(self, layers: nn.ModuleList, config: PretrainedConfig, late: Tensor, states: Tensor) -> Tensor:
        return bridged(layers, config, late[:, :1], states, self["attention_mask"])

    def decode(self, model: BottleneckModel, hidden: Tensor, input_ids: Tensor) -> Tensor:
        return model.decode(hidden[:, 0], input_ids, self["attention_mask"])

    def replaced(self, replacer: Replacer, side: str) -> Tensor:
        filled: Tensor = replacer(
            **self._inputs(self["input_ids"]), masked=self[f"{side}_mask"], uniforms=self[f"{side}_uniforms"]
        )
        return filled

    @torch.no_grad()
    def sampled(self, rows: Tensor, output: nn.Linear, side: str) -> Tensor:
        read = self["input_ids"].clone()
        read[self[f"{side}_mask"]] = sample_tokens(output(rows), self[f"{side}_uniforms"])
        return read

    def at(self, values: Tensor, mask: str) -> Tensor:
        return values[self[mask].bool()]

    def mean(self, values: Tensor, mask: str) -> Tensor:
        return values.sum() / self[mask].sum().clamp_min(1)

    def word_loss(self, rows: Tensor, output: nn.Linear, targets: Tensor, mask: str) -> Tensor:
        return mean_vocabulary_loss(rows, output, targets)

    def firsts(self, states: Tensor) -> Tensor:
        return states[:, 0]

    def by_group(self, loss: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        return loss(*rows)
