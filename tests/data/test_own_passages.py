"""Which passage is a query's own, by hand, and what a store that does not say is taken for."""

from pathlib import Path

import pytest
from transformers import BertTokenizerFast

from simlm.data.collection import Passage, Query
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.files import write_json
from simlm.stages.data import OWN, Prepare
from tests.rows import collection_of

PASSAGES = [
    Passage("1", "", "The  car is"),
    Passage("2", "Life", "insurance."),
    Passage("3", "Title", "what is the car"),
    Passage("4", "", "other"),
    Passage("5", "", "life"),
]
QUERIES = [
    Query("9", "other"),  # the text, another id
    Query("5", "Life"),  # judged relevant to itself
    Query("4", "another"),  # the id, another text
    Query("3", "What is the car"),
    Query("2", "life insurance."),
    Query("1", "the car IS "),
]
FOUND = [-1, -1, -1, 2, 1, 0]
JUDGED = {"5": {"5": 1}, "1": {"4": 1, "1": 0}}
SPLITS = {"train": ([Query("1", "else")], {"1": {"4": 1}}), "test": (QUERIES, JUDGED)}


def tokenised(tokenizer: BertTokenizerFast, folder: Path, shared: bool = False, keep: bool = False, segments=True):
    collection = collection_of("quora", PASSAGES, SPLITS)
    collection.shared_ids = shared
    return tokenise_collection(collection, tokenizer, folder, segments, keep)


def finish(job: Path, numbers: dict[str, object]) -> None:
    """Write the manifest of a stage that is finished."""
    files = (path for path in (job / "output").rglob("*") if path.is_file())
    outputs = {path.relative_to(job / "output").as_posix(): {} for path in files}
    write_json(job / "manifest.json", {"outputs": outputs, "inputs": {}, "attempts": [], "numbers": numbers})


@pytest.mark.parametrize("segments", [True, False])
def test_id_and_text_have_to_agree(tokenizer: BertTokenizerFast, tmp_path: Path, segments: bool) -> None:
    store = tokenised(tokenizer, tmp_path / "store", segments=segments)
    own = store.own_passages("test")
    assert own is not None and own.tolist() == FOUND and store.own_passages("train") is None
    assert store.queries_in_corpus("test") == {"1", "2", "3"} and store.queries_in_corpus("train") == set()
    assert [path.name for path in (store.folder / "own-passages").iterdir()] == ["test.npy"]


def test_where_ids_are_shared_the_id_is_enough(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    store = tokenised(tokenizer, tmp_path / "store", shared=True)
    assert store.queries_in_corpus("test") == {"1", "2", "3", "4"} and store.queries_in_corpus("train") == {"1"}


@pytest.mark.parametrize(
    ("said", "keep", "outdated"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_an_older_store_is_made_again_where_a_query_is_a_passage(
    tokenizer: BertTokenizerFast, tmp_path: Path, said: bool, keep: bool, outdated: bool
) -> None:
    store = tokenised(tokenizer, tmp_path / "output" / "store", keep=True)
    assert not (store.folder / "own-passages").exists()
    finish(tmp_path, {OWN: {}} if said else {})
    stage = Prepare.C(collection="beir folder", vocabulary=9, tokenizer="", digest="d", keep_own=keep)
    assert (stage.outdated(tmp_path) is not None) == outdated


def test_an_older_store_without_such_queries_is_reused(tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    splits = {"test": (QUERIES[:1] + QUERIES[2:3], {"9": {"1": 1}})}
    store = tokenise_collection(collection_of("own", PASSAGES, splits), tokenizer, tmp_path / "output" / "store")
    assert isinstance(store, TokenisedCollection) and not (store.folder / "own-passages").exists()
    finish(tmp_path, {})
    stage = Prepare.C(collection="beir folder", vocabulary=9, tokenizer="", digest="d")
    assert stage.outdated(tmp_path) is None
