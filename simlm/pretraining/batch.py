"""What an objective computes its losses from, however the passages of a batch lie.

``PaddedBatch`` is the batch of a collator as it is; ``simlm.packed.batch`` has the one without padding. Tokens, and
what there is one of for each of them, are (B, L) where they are padded and (1, T) where they are packed: "(tokens)"
below. A mask is named by its key in the batch, and has M true places; ``attention_mask`` is that of all tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from transformers import BertModel, ElectraModel, PretrainedConfig

from simlm.pretraining.generator import Replacer, sample_tokens
from simlm.pretraining.model import BottleneckModel, bridged
from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss

Body = BertModel | ElectraModel


class Batch(ABC):
    """A collator's tensors by their names, and whatever depends on where the passages are.

    At places that are not tokens of a passage, states may be anything: losses are taken ``at`` the places of a mask.
    """

    @abstractmethod
    def __getitem__(self, name: str) -> Tensor:
        """(tokens) of what the collator made as (B, L); what has another shape is as it was made."""

    @abstractmethod
    def encode(self, body: Body, input_ids: Tensor) -> Tensor:
        """Last hidden states (tokens, H) of the passages with ``input_ids`` (tokens) and their own token types."""

    @abstractmethod
    def encode_twice(self, body: Body, input_ids: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """The states (tokens, H) after ``layer`` layers, and the last ones."""

    @abstractmethod
    def bridge(self, layers: nn.ModuleList, config: PretrainedConfig, late: Tensor, states: Tensor) -> Tensor:
        """States (tokens, H) after BERT's ``layers``, which read ``states``, but each passage's first one of ``late``.

        config: of the model that the layers belong to.
        """

    @abstractmethod
    def decode(self, model: BottleneckModel, hidden: Tensor, input_ids: Tensor) -> Tensor:
        """``model``'s decoder's states (tokens, H), from its encoder's ``hidden`` and the decoder's ``input_ids``."""

    @abstractmethod
    def replaced(self, replacer: Replacer, side: str) -> Tensor:
        """``NestedMaskCollator``'s passages (tokens) as the "encoder" or the "decoder" reads them."""

    @abstractmethod
    def sampled(self, rows: Tensor, output: nn.Linear, side: str) -> Tensor:
        """The passages (tokens) with a token of softmax(``output(rows)``) at each place of the side's mask.

        ``rows`` (M, E) are those ``at`` them. No gradient flows through it.
        """

    @abstractmethod
    def at(self, values: Tensor, mask: str) -> Tensor:
        """Those of ``values`` (tokens, ...) at the mask's places, in their order: (M, ...).

        Without padding some may follow that count nothing in ``mean`` and ``word_loss``.
        """

    @abstractmethod
    def mean(self, values: Tensor, mask: str) -> Tensor:
        """The mean, over a micro-batch, of ``values`` (M,) at the mask's places; 0 where there are none."""

    @abstractmethod
    def word_loss(self, rows: Tensor, output: nn.Linear, targets: Tensor, mask: str) -> Tensor:
        """``mean`` of the cross-entropies of ``output(rows)``, (M, E) -> (M, V), against ``targets`` (M,)."""

    @abstractmethod
    def firsts(self, states: Tensor) -> Tensor:
        """Each passage's [CLS] state, (B, H)."""

    @abstractmethod
    def by_group(self, loss: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """The mean over micro-batches of ``loss``, given their ``rows`` (B, ...), one a passage."""


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
