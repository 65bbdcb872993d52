"""A toy collection with and without titles, and random models over its pieces, for the tests of this folder."""

from pathlib import Path
from typing import Any

from simlm.data.collection import Collection, Passage, Query
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.models.load import load_body
from simlm.models.save import save_model
from tests.pretraining.toys import TOKENIZER, WORDS
from tests.rows import collection_of

QUERY_LENGTH, PASSAGE_LENGTH, PAIR_LENGTH = 6, 16, 24


def words(start: int, count: int) -> str:
    """Some of the toy vocabulary's words, with ends that are pieces of their own."""
    return " ".join(
        WORDS[(start + 3 * place) % len(WORDS)] + (f"end{place % 15}" if place % 4 == 1 else "")
        for place in range(count)
    )


TEXTS = [
    (words(1, 2), words(2, 5)),
    ("", words(3, 4)),  # without a title
    (words(4, 3), words(5, 30)),  # the text is cut
    (words(6, 14), words(7, 14)),  # both are cut
    (words(8, 20), words(9, 2)),  # the title is cut
    (words(10, 1), words(11, 1)),
]
PASSAGES = [Passage(f"p{number}", title, text) for number, (title, text) in enumerate(TEXTS)]
QUERIES = {
    "train": [Query("a", words(0, 2)), Query("b", f"{words(1, 2)}\t{words(2, 1)}\n"), Query("c", words(5, 12))],
    "valid": [Query("a", words(7, 3))],
    "test": [Query("z", words(4, 4))],
}
QRELS = {
    "train": {"a": {"p4": 1, "p1": 1}, "b": {"p3": 1, "p0": 0}, "c": {"p2": 1}},
    "valid": {"a": {"p5": 1}},
    "test": {"z": {"p0": 2}},
}


def toy_collection(titled: bool = True) -> Collection:
    """Six passages and three splits."""
    passages = PASSAGES if titled else [Passage(row.id, "", row.text) for row in PASSAGES]
    splits: dict[str, Any] = {split: (QUERIES[split], QRELS[split]) for split in QUERIES}
    return collection_of("toy", passages, splits, has_titles=titled)


def tokenised(folder: Path, titled: bool = True, tokenizer: Any = TOKENIZER, segments: bool = True) -> Any:
    """The toy collection in pieces."""
    store: TokenisedCollection = tokenise_collection(toy_collection(titled), tokenizer, folder, segments)
    return store


def retriever_folder(model: Any, folder: Path, tokenizer: Any = TOKENIZER) -> Path:
    """A model's body saved as a retriever's training saves it."""
    save_model(model, tokenizer, folder / "start", "a start", {})
    save_model(load_body(folder / "start", tokenizer), tokenizer, folder / "retriever", "a retriever", {})
    return folder / "retriever"
