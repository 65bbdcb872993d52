"""The three steps on a synthetic collection, and the process that does one of them and says what it took.

`python -m benchmarks.growth.tasks TASK PASSAGES FOLDER` prints a line of JSON; a step reads what the one before left.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth.peak import Peak
from benchmarks.passages import LONGEST, lengths

VOCABULARY, WIDTH, LAYERS = 2_000, 64, 1
QUERIES, K = 64, 100
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BLOCK = 1_000


def rows(passages: int) -> Iterator[tuple[str, str, str]]:
    """(id, title, text) of each passage, about 75 word pieces with MS MARCO's lengths; made a thousand at a time."""
    for first in range(0, passages, BLOCK):
        counts = lengths(min(BLOCK, passages - first), first, 69.5, 0.4, LONGEST)
        words = np.random.default_rng(first).integers(len(SPECIAL), VOCABULARY, (len(counts), LONGEST))
        for number, count in enumerate(counts.tolist()):
            yield str(first + number), "", " ".join(f"w{word}" for word in words[number, : count - 2].tolist())


def tokenizer() -> Any:
    """A WordPiece tokenizer that knows the synthetic words."""
    from transformers import BertTokenizer

    vocabulary = [*SPECIAL, *(f"w{number}" for number in range(len(SPECIAL), VOCABULARY))]
    return BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)})


def tokenise(passages: int, folder: Path) -> None:
    """Texts to a token store."""
    from simlm.data.tokens import build_token_store

    build_token_store(rows(passages), tokenizer(), folder / "store", has_titles=False)


def encode(passages: int, folder: Path) -> None:
    """The store to vectors, by a small BERT with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    from simlm.data.inputs import Specials
    from simlm.data.tokens import TokenStore
    from simlm.finetuning.biencoder import BiEncoder
    from simlm.packed.layouts import Inference
    from simlm.packed.texts import Padded
    from simlm.retrieval.encode import encode_texts

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=WIDTH,
    )
    model = BertModel(config, add_pooling_layer=False)
    encoder = BiEncoder(model, temperature=1.0).eval()
    store = TokenStore.open(folder / "store")
    specials = Specials.of(tokenizer())
    encode = Inference(encoder.encode, Padded(specials), torch.device("cpu"))
    encode_texts(encode, store, specials, folder / "vectors", LONGEST)


def search(passages: int, folder: Path) -> None:
    """The best of all vectors for random queries."""
    from simlm.retrieval.embeddings import Embeddings
    from simlm.retrieval.search import search as search_all

    queries = np.random.default_rng(1).standard_normal((QUERIES, WIDTH)).astype(np.float32)
    search_all(queries, Embeddings.open(folder / "vectors"), K)


TASKS = {"tokenise": tokenise, "encode": encode, "search": search}


def measured(task: str, passages: int, folder: Path) -> dict[str, Any]:
    """Do a step; seconds without imports, and the peaks of this process's memory."""
    import transformers  # noqa: F401  (imports are no part of what is measured)

    with Peak() as peak:
        start = time.perf_counter()
        TASKS[task](passages, folder)
        seconds = time.perf_counter() - start
    return {"task": task, "passages": passages, "seconds": seconds} | peak.figures()


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
