"""Tokenise, encode and search a synthetic collection, each in a process of its own that says what it took.

`python -m benchmarks.growth.steps STEP PASSAGES FOLDER` prints a line of JSON; a step reads what the one before left.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from benchmarks.passages import FIRST_WORD, LONGEST, passage_lengths, spelled
from simlm.data.inputs import Specials
from simlm.data.tokens import TokenStore, build_token_store
from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.search import search as search_embeddings

VOCABULARY, WIDTH, LAYERS = 2_000, 64, 1
QUERIES, K = 64, 100
BLOCK = 1_000
STATUS = Path("/proc/self/status")
PAUSE = 0.005


def rows(passages: int) -> Iterator[tuple[str, str, str]]:
    """Yield (id, title, text) of each passage, with MS MARCO's lengths; they are made a thousand at a time."""
    for first in range(0, passages, BLOCK):
        counts = passage_lengths(min(BLOCK, passages - first), first)
        words = np.random.default_rng(first).integers(FIRST_WORD, VOCABULARY, (len(counts), LONGEST))
        for number, count in enumerate(counts.tolist()):
            yield str(first + number), "", " ".join(f"w{word}" for word in words[number, : count - 2].tolist())


def tokenizer() -> Any:
    """Return a WordPiece tokenizer that knows the synthetic words."""
    return BertTokenizer(vocab={word: number for number, word in enumerate(spelled(VOCABULARY))})


def tokenise(passages: int, folder: Path) -> None:
    """Turn texts into a token store."""
    build_token_store(rows(passages), tokenizer(), folder / "store", has_titles=False)


def encode(passages: int, folder: Path) -> None:
    """Turn the store into vectors, by a small BERT with random weights."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=WIDTH,
    )
    encoder = BiEncoder(BertModel(config, add_pooling_layer=False), temperature=1.0).eval()
    store = TokenStore.open(folder / "store")
    specials = Specials.of(tokenizer())
    compute = Inference(encoder.encode, Padded(specials), torch.device("cpu"))
    encode_texts(compute, store, specials, folder / "vectors", LONGEST)


def search(passages: int, folder: Path) -> None:
    """Find the best of all vectors for random queries."""
    queries = np.random.default_rng(1).standard_normal((QUERIES, WIDTH)).astype(np.float32)
    search_embeddings(queries, Embeddings.open(folder / "vectors"), K)


STEPS: dict[str, Callable[[int, Path], None]] = {"tokenise": tokenise, "encode": encode, "search": search}


class Peak(threading.Thread):
    """Watches this process's own memory while a block runs, two hundred times a second.

    Pages of mapped files are not its own: the system takes them back when it needs them.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.most = own_bytes()
        self.done = threading.Event()

    def run(self) -> None:
        """Note the most memory until the block is done."""
        while not self.done.wait(PAUSE):
            self.most = max(self.most, own_bytes())
        self.most = max(self.most, own_bytes())

    def __enter__(self) -> "Peak":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.join()


def own_bytes() -> int:
    """Return what this process has allocated and the system holds in memory; all it holds where that is not told."""
    try:
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return int(psutil.Process().memory_info().rss)


def measured(step: str, passages: int, folder: Path) -> dict[str, Any]:
    """Do a step, and return its seconds without imports and the peaks of this process's memory, in bytes."""
    with Peak() as peak:
        start = time.perf_counter()
        STEPS[step](passages, folder)
        seconds = time.perf_counter() - start
    return {
        "task": step,
        "passages": passages,
        "seconds": seconds,
        "own_bytes": peak.most,
        "own_bytes_before": peak.before,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
