"""Vectors at hand for who answers queries one at a time, as a service does: nothing is checked or copied twice."""

import warnings

import numpy as np
import torch
from torch import Tensor

from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.search import PASSAGE_BLOCK

ROOM = 0.8
"""Of a GPU's free memory, what vectors may take; the rest is for the model and a search's scores."""


def at_hand(embeddings: Embeddings, device: torch.device | str, block: int = PASSAGE_BLOCK) -> list[tuple[int, Tensor]]:
    """What `search_tiles` reads: vectors that a search has found sound, ``block`` a tile, each with its first index.

    On a GPU with room for all of them they lie there, float32 (m, d) each. Otherwise they are memory-mapped as they
    were encoded, and take no memory of a process.
    """
    tiles = [(first, _mapped(tile)) for first, tile in embeddings.tiles(block)]
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
        if 4 * len(embeddings) * embeddings.dim <= ROOM * torch.cuda.mem_get_info(device)[0]:
            return [(first, tile.to(device, torch.float32)) for first, tile in tiles]
    return tiles


def _mapped(vectors: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        # It is mapped to be read, and nobody writes into it.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(vectors)
