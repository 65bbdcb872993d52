"""What all dual encoders do: encode a corpus, search it exactly for queries, and measure size, speed and latency.

Several processes (`simlm.distributed`) share the encoding and the search; only the first has runs and figures to leave.
"""

import time
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simlm.data.inputs import Specials, query_input
from simlm.data.store import TokenisedCollection
from simlm.data.tokens import TokenStore
from simlm.distributed import is_first, wait_for_all
from simlm.files import put_in_place
from simlm.packed.layouts import Inference
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.runs import Run, without
from simlm.retrieval.search import resident_index, search_tiles, search_together

TIMED_QUERIES = 64
TIMED_SECONDS = 20.0
"""After so many seconds no further query is timed: an exact search takes about as long for each."""

Vectors = TypeVar("Vectors", bound=Sized)
"""As many as there are texts."""
Leave = Callable[[str, Run, TokenisedCollection], dict[str, float]]
"""Writes the run of a split and returns its figures."""


@dataclass(frozen=True)
class EncoderSide:
    """The queries' or the passages' side of a dual encoder.

    Attributes:
        encode: gives texts their vectors.
        length: texts are cut at so many tokens.
        specials: the tokenizer's special tokens.
        view: a store as this side reads it, for example with a prompt before each text.
    """

    encode: Inference
    length: int
    specials: Specials
    view: Callable[[TokenStore], TokenStore] = field(default=lambda store: store)

    def encoded(self, texts: TokenStore, folder: Path) -> Embeddings:
        """Encode what ``view`` gave into a folder, going on where an interrupted attempt ended."""
        return encode_texts(self.encode, texts, self.specials, folder, self.length)

    def vector(self, text: np.ndarray) -> np.ndarray:
        """Return the vector, float32 (1, d), of a text without title, given by its pieces (m,)."""
        one = self.encode.collate([query_input(text, self.length, self.specials)])
        return self.encode(one).float().cpu().numpy()


def search_splits(
    collection: TokenisedCollection,
    passages: EncoderSide,
    queries: EncoderSide,
    depths: Mapping[str, int],
    timed_split: str | None,
    faiss: bool,
    work: Path,
    output: Path,
    leave: Leave,
) -> dict[str, Any]:
    """Encode a collection, search it for the queries of some splits, and leave runs and vectors; return the figures.

    Args:
        collection: passages and queries.
        passages, queries: the two sides of the encoder. Queries are few and always encoded in float32, as in the
            released implementation.
        depths: passages a query, by split; a query's own passage (`simlm.data.own_passages`) is none of them.
        timed_split: the split whose queries are timed, for ``latency_ms``, milliseconds to encode and search one query;
            None for no timing.
        faiss: whether faiss searches instead of torch.
        work: where an interrupted attempt can go on.
        output: where the passages' vectors are left, in the folder ``passages``.
        leave: called with each split's run.
    """
    device = passages.encode.device
    queries = replace(queries, encode=replace(queries.encode, half=False))
    texts = passages.view(collection.passages)
    vectors, encoding = timed(partial(passages.encoded, texts), work / "passages")
    figures: dict[str, Any] = {"tokens": int(np.minimum(texts.lengths, passages.length).sum()), **encoding}
    for split, depth in depths.items():
        store = queries.view(collection.queries(split))
        asked = queries.encoded(store, work / f"queries-{split}").read()
        own = collection.own_passages(split)
        places = min(depth if own is None else depth + 1, len(vectors))
        scores, indices = search_together(asked, vectors, places, device=device, faiss=faiss)
        if is_first():
            run = Run([store.ids[i] for i in range(len(store))], indices, scores)
            figures |= leave(split, run if own is None else without(run, own, depth), collection)
    if is_first():
        if timed_split is not None:
            store = queries.view(collection.queries(timed_split))
            seconds = _query_seconds(queries, store, vectors, min(depths[timed_split], len(vectors)), faiss)
            figures["latency_ms"] = 1000 * seconds
        # They were encoded where an interrupted attempt can go on, and are left where later searches find them.
        put_in_place(vectors.folder, output / "passages")
    return figures


def _query_seconds(queries: EncoderSide, store: TokenStore, vectors: Embeddings, k: int, faiss: bool) -> float:
    """Return the mean seconds to encode and search one query, over a resident index."""
    device = queries.encode.device
    index = resident_index(vectors, device)

    def answer(number: int) -> None:
        search_tiles(queries.vector(store.text(number)), index, k, device, faiss=faiss)

    return mean_latency(answer, len(store))


def mean_latency(answer: Callable[[int], object], count: int) -> float:
    """Return the mean seconds to answer a query, one after the other.

    Query 0 is answered once more before, to warm up. As many of the first 64 queries count as begin within 20 seconds.

    Args:
        answer: answers a query, given by its number.
        count: how many queries there are, at least one.
    """
    answer(0)
    start = time.perf_counter()
    for number in range(min(TIMED_QUERIES, count)):
        answer(number)
        seconds = time.perf_counter() - start
        if seconds >= TIMED_SECONDS:
            break
    return seconds / (number + 1)


def timed(encode: Callable[[Path], Vectors], folder: Path) -> tuple[Vectors, dict[str, float]]:
    """Encode texts into a folder; return the vectors and the figures of the encoding.

    ``index_bytes`` counts all files in the folder. ``encode_seconds`` and ``passages_per_second`` are left out where an
    interrupted attempt had begun: then only the rest was encoded.
    """
    goes_on = any(folder.glob("[!.]*"))  # a name with a dot at its beginning is not whole
    wait_for_all()  # until every process has looked
    start = time.perf_counter()
    vectors = encode(folder)
    seconds = time.perf_counter() - start
    figures: dict[str, float] = {
        "index_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    }
    if not goes_on:
        figures |= {"encode_seconds": seconds, "passages_per_second": len(vectors) / seconds}
    return vectors, figures
