"""One of two gloo processes of `test_two_processes`: python -m tests.retrieval.two_processes FOLDER."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.search import search_together
from tests.pairs import meet, part
from tests.retrieval.test_encode import SPECIALS, over, random_store

PASSAGES, QUERIES, WIDTH, K = 100, 23, 8, 9
KILLED_AFTER = 7
"""Batches: each process has five of the first shard's ten, and then as many of the second's."""


class Killed(Exception):
    """Stands for whatever ends a process."""


class Encode:
    """Sums of random vectors, one an id, rounded so that scores are often equal; ends after ``batches``."""

    def __init__(self, batches: int | None = None) -> None:
        self.table = torch.randint(-2, 3, (100, WIDTH), generator=torch.Generator().manual_seed(1)).float()
        self.batches = batches
        self.seen = 0

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        if self.seen == self.batches:
            raise Killed
        self.seen += 1
        return (self.table[inputs["input_ids"]] * inputs["attention_mask"][..., None]).sum(dim=1)


def encoded(folder: Path, encode: Encode) -> Embeddings:
    return encode_texts(
        over(encode),
        random_store(PASSAGES, titles=True),  # type: ignore[arg-type]
        SPECIALS,
        folder,
        16,
        batch_tokens=64,
        shard_size=40,
    )


def found(embeddings: Embeddings, faiss: bool = False) -> tuple[np.ndarray, np.ndarray]:
    queries = np.random.default_rng(4).integers(-2, 3, (QUERIES, WIDTH)).astype(np.float32)
    return search_together(queries, embeddings, K, query_block=3, faiss=faiss)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    place = meet()
    encode = Encode()
    scores, indices = found(encoded(folder / "whole", encode))
    by_faiss = found(Embeddings.open(folder / "whole"), faiss=True)
    np.savez(folder / f"{place}.npz", scores=scores, indices=indices, by_faiss=np.stack(by_faiss))
    batches = encode.seen
    try:
        encoded(folder / "killed", Encode(KILLED_AFTER))
    except Killed:
        encode = Encode()
        encoded(folder / "killed", encode)
    np.save(folder / f"batches-{place}.npy", [batches, encode.seen])
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
