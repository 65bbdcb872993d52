"""Data sets of ir_datasets as collections, on tiny ones registered here: nothing is downloaded."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from simlm.data.catalogue import relevant_grade
from simlm.data.checks import validate
from simlm.data.irds import Docs, GenericDoc, GenericQrel, GenericQuery, Qrels, Queries, TitledDoc, ir_datasets
from simlm.data.lookup import resolve
from simlm.data.opening import open_collection
from simlm.errors import UserError


class Pictured(NamedTuple):
    """A document without a text."""

    doc_id: str
    picture: str


def register(id: str, *parts: Any) -> None:
    if id not in set(ir_datasets.registry):
        ir_datasets.registry.register(id, ir_datasets.Dataset(*parts))


def with_splits(base: str, docs: Any, names: tuple[str, ...]) -> None:
    register(base, docs)
    for number, name in enumerate(names, start=1):
        queries = Queries(lambda number=number: [GenericQuery(f"q{number}", f"query {number}")], GenericQuery, "en")
        register(f"{base}/{name}", docs, queries, Qrels(lambda number=number: [GenericQrel(f"q{number}", "d1", 1)]))


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    titled = Docs(lambda: [TitledDoc("d1", "Title", "text"), TitledDoc("d2", None, "other")], TitledDoc, "en")
    plain = Docs(lambda: [GenericDoc("d1", "text"), GenericDoc("d2", "other")], GenericDoc, "en")
    with_splits("tiny/titled", titled, ("train", "dev", "test"))
    with_splits("tiny/plain", plain, ("train", "validation", "test", "test/hard"))
    with_splits("tiny/lacking", plain, ("train", "test"))
    with_splits("tiny/pictures", Docs(lambda: [Pictured("d1", "x")], Pictured, "en"), ("train", "dev", "test"))

    def offline() -> Iterator[Any]:
        raise ConnectionError("no network\nat all")

    with_splits("tiny/offline", Docs(offline, GenericDoc, "en"), ("train", "dev", "test"))


def test_splits_by_convention() -> None:
    collection = open_collection("irds:tiny/titled")
    validate(collection)
    assert (collection.name, collection.has_titles) == ("tiny/titled", True)
    assert list(collection.passages()) == [("d1", "Title", "text"), ("d2", "", "other")]
    assert list(collection.queries("valid")) == [("q2", "query 2")] and collection.qrels("valid") == {"q2": {"d1": 1}}
    assert collection.registered["valid"] == "tiny/titled/dev"
    assert collection.origin.startswith("ir_datasets ")
    with pytest.raises(UserError, match="no negatives of its own"):
        next(collection.negatives("train"))


def test_no_store_of_ir_datasets_is_written() -> None:
    store = open_collection("irds:tiny/plain").docs.docs_store()
    assert store.get("d2").text == "other" and type(store).__module__ == "simlm.data.irds"


def test_named_splits_by_whole_or_relative_id() -> None:
    collection = open_collection("irds:tiny/plain,test=test/hard,valid=tiny/titled/dev")
    assert collection.registered == {
        "train": "tiny/plain/train",
        "valid": "tiny/titled/dev",
        "test": "tiny/plain/test/hard",
    }
    assert not collection.has_titles and list(collection.queries("test")) == [("q4", "query 4")]


def test_the_reference_is_the_text() -> None:
    found = resolve("irds:tiny/plain,test=test/hard")
    assert (found.collection, found.location, found.digest) == ("irds:tiny/plain,test=test/hard", "", "")
    assert found.name == "tiny/plain" and found.slug != resolve("irds:tiny/plain").slug


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("irds:tiny/none", r"irds:tiny/none: ir_datasets [\d.]+ has no 'tiny/none'"),
        ("irds:", "has no ''"),
        ("irds:tiny/lacking", "there is no tiny/lacking/dev or .*: irds:tiny/lacking,valid=ID"),
        ("irds:tiny/lacking,valid=no", "ir_datasets .* has no 'no'"),
        ("irds:tiny/lacking,valid=train", "two splits are the same"),
        ("irds:tiny/plain,dev=x", "'dev=x' names no split; write train=ID, valid=ID, test=ID"),
        ("irds:tiny/plain,test", "'test' names no split"),
        ("irds:tiny/plain,test=tiny/plain", "tiny/plain lacks queries or qrels; name another data set, test=ID"),
        ("irds:tiny/pictures", "rows of tiny/pictures have the fields doc_id, picture; only"),
    ],
)
def test_what_cannot_be_a_collection(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        resolve(text)
    assert "\n" not in str(caught.value)


def test_a_failed_download_is_one_line() -> None:
    with pytest.raises(UserError, match=r"irds:tiny/offline: ir_datasets cannot fetch or read .*\(no network at all\)"):
        validate(open_collection("irds:tiny/offline"))


def test_trec_dls_passages_are_relevant_from_grade_2_on_and_nothing_else_is() -> None:
    found = {id for id in ir_datasets.registry if relevant_grade(str(id)) != 1}
    passages = {f"msmarco-passage/trec-dl-{year}{judged}" for year in (2019, 2020) for judged in ("", "/judged")}
    hard = {f"msmarco-passage/trec-dl-hard{fold}" for fold in ("", *(f"/fold{number}" for number in range(1, 6)))}
    later = {f"msmarco-passage-v2/trec-dl-{year}{judged}" for year in (2021, 2022, 2023) for judged in ("", "/judged")}
    assert found == passages | hard | later
    spec = "irds:msmarco-passage,train=train/judged,valid=trec-dl-2020/judged,test=trec-dl-hard/fold1"
    collection = open_collection(spec)
    assert [collection.relevant_grade(split) for split in collection.splits] == [1, 2, 2]


def test_a_real_id_is_understood_without_a_download() -> None:
    assert resolve("irds:beir/fiqa").name == "beir/fiqa"
    spec = "irds:msmarco-passage,train=train/judged,valid=dev/small,test=trec-dl-2019/judged"
    assert open_collection(spec).registered["test"] == "msmarco-passage/trec-dl-2019/judged"
