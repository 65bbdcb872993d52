"""What stages of dual encoders have in common: a corpus encoded, searched exactly for queries, and the runs left.

Several processes (`simlm.distributed`) share the encoding and the search; the first alone writes runs and has figures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simlm.data.inputs import Specials, batch_inputs, query_input
from simlm.data.tokens import TokenStore
from simlm.distributed import is_first
from simlm.packed.inference import OverPacks
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.runs import Run
from simlm.retrieval.search import search_tiles, search_together
from simlm.retrieval.single import at_hand
from simlm.stages.encoding import timed
from simlm.stages.latency import mean_latency
from simlm.stages.runs import MINED_SPLIT, RunStage


@dataclass(frozen=True)
class Tower:
    """One side of a dual encoder: what gives queries, or passages, their vectors.

    ``model`` takes padded inputs, int64 (B, L) each, to vectors (B, d), in bfloat16 on a GPU. A text is cut at
    ``length`` tokens. ``view`` is a store as this side reads it. ``packs`` encodes whole stores instead of ``model``.
    """

    model: Callable[[dict[str, Tensor]], Tensor]
    length: int
    specials: Specials
    device: torch.device
    view: Callable[[TokenStore], TokenStore] = lambda store: store
    packs: OverPacks | None = None

    def encoded(self, texts: TokenStore, folder: Path) -> Embeddings:
        """The vectors of what ``view`` gave, in ``folder``, where an interrupted attempt goes on."""
        if self.packs is None:
            return encode_texts(self._padded, texts, self.specials, folder, self.length, device=self.device)
        collate = partial(self.packs.collate, max_length=self.length)
        return encode_texts(self.packs, texts, self.specials, folder, self.length, self.packs.tokens, collate=collate)

    @torch.inference_mode()
    def vector(self, text: np.ndarray) -> np.ndarray:
        """The vector float32 (1, d) of one untitled text's pieces (m,)."""
        one = batch_inputs([query_input(text, self.length, self.specials)], self.specials)
        return self._padded({name: tensor.to(self.device) for name, tensor in one.items()}).float().cpu().numpy()

    def _padded(self, inputs: dict[str, Tensor]) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.model(inputs)


def leave_runs(stage: RunStage, passages: Tower, queries: Tower, depths: Mapping[str, int]) -> dict[str, Any]:
    """Leave a stage's runs of the splits in ``depths``, with so many passages a query, and its vectors; the figures.

    ``latency_ms`` are milliseconds to encode and search one query, of the last split that is evaluated.
    """
    collection, device, faiss = stage.data.open(), passages.device, stage.choices.search == "faiss"
    texts = passages.view(collection.passages)
    vectors, encoding = timed(partial(passages.encoded, texts), stage.work / "passages")
    figures: dict[str, Any] = {"tokens": int(np.minimum(texts.lengths, passages.length).sum()), **encoding}
    evaluated: tuple[TokenStore, int] | None = None
    for split, depth in depths.items():
        asked = queries.view(collection.queries(split))
        found = queries.encoded(asked, stage.work / f"queries-{split}").read()
        k = min(depth, len(vectors))
        scores, indices = search_together(found, vectors, k, device=device, faiss=faiss)
        if not is_first():
            continue
        run = Run([asked.ids[i] for i in range(len(asked))], indices, scores)
        figures |= stage.leave(split, run, collection)
        if split != MINED_SPLIT:
            evaluated = asked, k
    if evaluated is not None:
        figures["latency_ms"] = 1000 * _latency(queries, vectors, *evaluated, faiss)
    # Encoded where an interrupted attempt can go on, and left where whoever searches next finds it.
    if is_first():
        vectors.folder.rename(stage.folder / "passages")
    return figures


def _latency(queries: Tower, vectors: Embeddings, asked: TokenStore, k: int, faiss: bool) -> float:
    """Mean seconds to encode one query and to search, over vectors `at_hand`, which a search has read before."""
    tiles = at_hand(vectors, queries.device)

    def answer(number: int) -> None:
        search_tiles(queries.vector(asked.text(number)), tiles, k, queries.device, faiss=faiss)

    return mean_latency(answer, len(asked))
