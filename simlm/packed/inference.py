"""Vectors and scores without padding, where packs pay: what stages encode and score with on a GPU."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from simlm.data.inputs import Encoded
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.reranker import Reranker
from simlm.packed.biencoder import PackedBiEncoder
from simlm.packed.forwards import prepare
from simlm.packed.inputs import Pack, full_parts, pack
from simlm.packed.reranker import PackedReranker

PACK = 65_536
"""Tokens of a pack on a GPU."""
MULTIPLE = 1_024
"""A pack's texts, with empty ones, are a multiple of it: compiled code is compiled a few times only."""


Model = TypeVar("Model", bound=PreTrainedModel)


@dataclass(frozen=True)
class OverPacks:
    """``output`` of texts in one pack, at most ``tokens`` in all; without gradient.

    ``collate`` makes the pack on the device, calling it gives its output. In bfloat16 on a GPU, where packs have one
    shape; exact ones in float32 elsewhere.
    """

    output: Callable[[Pack], Tensor]
    filler: int
    device: torch.device
    tokens: int = PACK

    # Code that was compiled in inference mode cannot be used outside of it, and the other way round.
    @torch.inference_mode(False)
    def collate(self, rows: Sequence[Encoded], max_length: int) -> Pack:
        """Texts of at most ``max_length`` tokens each, in their order; each such length is compiled for once."""
        if self.device.type != "cuda":
            return pack(rows, self.filler).to(self.device)
        return pack(rows, self.filler, self.tokens, MULTIPLE, max_length).pin_memory().to(self.device)

    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, one: Pack) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.output(one)

    def of(self, rows: Sequence[Encoded], max_length: int) -> Tensor:
        """What it gives for any number of texts, in their order and in as many packs as they fill."""
        parts = full_parts(np.array([len(ids) for ids, _ in rows], dtype=np.int64), self.tokens)
        return torch.cat([self(self.collate(rows[part], max_length)) for part in parts])


def packed_encoder(retriever: BiEncoder, filler: int) -> OverPacks:
    """What gives texts of any lengths their vectors (N, d) as ``retriever`` does, which stays as it is."""
    body = _prepared(retriever.encoder)
    model = PackedBiEncoder(BiEncoder(body, retriever.temperature)).eval()
    return OverPacks(model.encode, filler, body.device)


def packed_scorer(reranker: Reranker, filler: int) -> OverPacks:
    """What gives pairs their logits (N,) as ``reranker`` does, which stays as it is."""
    model = _prepared(reranker.model)
    return OverPacks(PackedReranker(model).eval().score, filler, model.device)


def _prepared(model: Model) -> Model:
    # Of its own: padded batches of many lengths through compiled layers would compile them over and over.
    own = copy.deepcopy(model)
    prepare(own, compiled=next(own.parameters()).is_cuda)
    return own
