"""The texts of a batch in one of two layouts, padded or packed: models compute over `Texts` and need not know which."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from simlm.data.inputs import Encoded, Specials, batch_inputs, padded_length
from simlm.packed.cls_pooling import Inputs
from simlm.packed.pack import OnDevice, Pack, Packer


class Texts(OnDevice, ABC):
    """N texts on their way through a model."""

    @abstractmethod
    def __len__(self) -> int:
        """Return N."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """How many tokens are real."""

    @abstractmethod
    def apply(self, forward: Callable[[Inputs], Tensor]) -> Tensor:
        """Return what ``forward`` gives for each text, (N, ...), piece by piece and in the order of the texts.

        Texts must not depend on each other in it (nothing like a batch norm). Where not all texts fit the device in
        training, the activations of one piece are held at a time: each piece is computed without them, and again, with
        the same dropout, when the gradients of its outputs are known (GradCache, Gao et al., 2021). Loss and gradients
        are those of one pass.
        """

    @abstractmethod
    def take(self, places: Tensor) -> "Texts":
        """Return the texts at ``places``, int64 (M,), in this order and on the device of ``places``.

        Texts may repeat.
        """


@dataclass(frozen=True)
class PaddedTexts(Texts):
    """Texts padded on the right to one length.

    Attributes:
        inputs: ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 (N, L) each.
        pieces: in how many pieces of similar length the texts go through a model (`by_length`).
        chunk: most texts whose activations are held at once; 0 for all.
    """

    inputs: dict[str, Tensor]
    pieces: int = 1
    chunk: int = 0

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])

    @property
    def tokens(self) -> int:
        return int(self.inputs["attention_mask"].sum())

    def apply(self, forward: Callable[[Inputs], Tensor]) -> Tensor:
        if torch.is_grad_enabled() and 0 < self.chunk < len(self):
            # Checkpointing keeps a piece's inputs and random state alone, and replays it in the backward pass.
            replayed = partial(checkpoint, forward, use_reentrant=False)
            return by_length(replayed, self.inputs, max(self.pieces, -(-len(self) // self.chunk)))
        return by_length(forward, self.inputs, self.pieces)

    def take(self, places: Tensor) -> "PaddedTexts":
        return replace(self, inputs=trim({name: tensor[places] for name, tensor in self.inputs.items()}))


@dataclass(frozen=True)
class PackedTexts(Texts):
    """Texts in packs.

    Attributes:
        packs: what goes through a model; each fits the device.
        rows: the texts themselves, where some of them will be packed again by ``repack``.
    """

    packs: tuple[Pack, ...]
    rows: list[Encoded] | None = None
    repack: Packer | None = None

    def __len__(self) -> int:
        return sum(one.texts for one in self.packs)

    @property
    def tokens(self) -> int:
        return sum(one.tokens for one in self.packs)

    def apply(self, forward: Callable[[Inputs], Tensor]) -> Tensor:
        if len(self.packs) > 1 and torch.is_grad_enabled():
            return torch.cat([_replayed(forward, one) for one in self.packs])
        return torch.cat([forward(one) for one in self.packs])

    def take(self, places: Tensor) -> "PackedTexts":
        if self.rows is None or self.repack is None:
            raise ValueError("these texts were packed without what is needed to pack some of them again")
        rows = [self.rows[place] for place in places.tolist()]
        return PackedTexts(self.repack(rows)).to(places.device)


def _replayed(forward: Callable[[Inputs], Tensor], pack: Pack) -> Tensor:
    # The random state is kept of devices that a tensor among the arguments is on.
    def of(input_ids: Tensor) -> Tensor:
        return forward(replace(pack, input_ids=input_ids))

    outputs: Tensor = checkpoint(of, pack.input_ids, use_reentrant=False)
    return outputs


def trim(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut (N, L) inputs, padded on the right, to the padded length of their own longest row."""
    longest = padded_length(int(inputs["attention_mask"].sum(dim=1).max()))
    return {name: tensor[:, :longest] for name, tensor in inputs.items()}


def by_length(forward: Callable[[Inputs], Tensor], inputs: Mapping[str, Tensor], pieces: int) -> Tensor:
    """Compute ``forward`` over (N, L) inputs in ``pieces`` of N / pieces rows of similar length.

    Rows are sorted by length and each piece is cut to its own longest row, so that short texts do not pay for the
    longest one. Returns (N, ...) in the order of the inputs: values and gradients are those of one padded pass, and
    only dropout draws differ. One piece is the padded pass itself.
    """
    if pieces <= 1:
        return forward(inputs)
    order = torch.argsort(inputs["attention_mask"].sum(dim=1), stable=True)
    found = [
        forward(trim({name: tensor[rows] for name, tensor in inputs.items()}))
        for rows in order.chunk(min(pieces, len(order)))
    ]
    return torch.cat(found)[torch.argsort(order)]


class Layout(ABC):
    """How texts are laid out as a batch: `Padded` or `Packed`."""

    @abstractmethod
    def texts(self, rows: Sequence[Encoded], keep_rows: bool = False) -> Texts:
        """Lay out the texts of a batch; ``keep_rows`` where `Texts.take` will be asked for some of them."""

    @abstractmethod
    def sides(self, queries: Sequence[Encoded], passages: Sequence[Encoded]) -> tuple[Texts, ...]:
        """Lay out the queries and then the passages of a batch: padded apart, or packed together."""


@dataclass(frozen=True)
class Padded(Layout):
    """Padded batches.

    Attributes:
        specials: the tokenizer's special tokens.
        pieces: as in `PaddedTexts`; queries, which are short, are one piece.
        chunk: as in `PaddedTexts`.
    """

    specials: Specials
    pieces: int = 1
    chunk: int = 0

    def texts(self, rows: Sequence[Encoded], keep_rows: bool = False) -> PaddedTexts:
        return PaddedTexts(batch_inputs(rows, self.specials), self.pieces, self.chunk)

    def sides(self, queries: Sequence[Encoded], passages: Sequence[Encoded]) -> tuple[Texts, ...]:
        return replace(self.texts(queries), pieces=1), self.texts(passages)


@dataclass(frozen=True)
class Packed(Layout):
    """Packs."""

    packer: Packer

    def texts(self, rows: Sequence[Encoded], keep_rows: bool = False) -> PackedTexts:
        packs = self.packer(rows)
        return (
            PackedTexts(packs, list(rows), replace(self.packer, max_tokens=None)) if keep_rows else PackedTexts(packs)
        )

    def sides(self, queries: Sequence[Encoded], passages: Sequence[Encoded]) -> tuple[Texts, ...]:
        return (self.texts([*queries, *passages]),)
