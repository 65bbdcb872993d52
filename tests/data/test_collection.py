"""Collections over rows in memory: reading, the rules of `validate`, counts, fingerprints."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from simlm.data.checks import validate
from simlm.data.collection import Collection, Passage, Query, statistics
from simlm.errors import UserError
from tests.rows import Judged, collection_of

PASSAGES = [Passage("p1", "", "One  text"), Passage("p2", "", "other"), Passage("p3", "", "one TEXT")]
TRAIN = ([Query("a", "What is it?"), Query("b", "why")], {"a": {"p1": 1, "p2": 0}, "b": {"p3": 1}})
TEST = ([Query("x", " what  IS it?"), Query("y", "how")], {"x": {"p1": 2}, "y": {"p2": 1}})


def tiny(passages: list[Passage] = PASSAGES, train: Any = TRAIN, **options: Any) -> Collection:
    return collection_of("tiny", passages, {"train": train, "test": TEST}, **options)


def test_reads_rows_back() -> None:
    collection = tiny(negatives={"train": {"b": ["p2", "p1"], "a": ["p3"]}})
    assert collection.name == "tiny" and collection.splits == ("train", "test")
    assert not collection.has_titles
    assert list(collection.passages()) == PASSAGES
    assert list(collection.queries("train")) == TRAIN[0]
    assert collection.qrels("train") == TRAIN[1]
    assert list(collection.negatives("train")) == [("b", ["p2", "p1"]), ("a", ["p3"])]
    with pytest.raises(UserError, match="no negatives of its own for 'test'"):
        list(collection.negatives("test"))
    with pytest.raises(UserError, match="no split 'dev': choose one of train, test"):
        collection.queries("dev")


def test_titles() -> None:
    titled = [Passage("p1", "Title", "text"), Passage("p2", "", "other")]
    collection = collection_of("titled", titled, {})
    assert collection.has_titles and list(collection.passages()) == titled
    assert collection.docs.docs_store().get("p1").default_text() == "Title text"
    assert not collection_of("plain", titled, {}, has_titles=False).has_titles


def test_is_made_of_ir_datasets_objects() -> None:
    dataset = tiny().dataset("test")
    assert [query.query_id for query in dataset.queries] == ["x", "y"]
    assert dataset.docs.lookup("p2").text == "other"
    assert dataset.docs_count() == 3
    assert dataset.qrels.asdict() == TEST[1]


def test_validate_accepts_a_sound_collection() -> None:
    validate(tiny())
    validate(tiny(passages=[Passage("p1", "", ""), *PASSAGES[1:]]))  # an empty text is a text


@pytest.mark.parametrize(
    ("passages", "train", "message"),
    [
        ([*PASSAGES, Passage("p1", "", "x")], TRAIN, '^tiny: the passage id "p1" comes twice; give'),
        ([*PASSAGES, Passage("", "", "x")], TRAIN, "^tiny: the passage in place 4 has an empty id; give"),
        ([*PASSAGES, Passage(" ", "", "x")], TRAIN, "^tiny: the passage in place 4 has an empty id; give"),
        ([*PASSAGES, Passage("p 4", "", "x")], TRAIN, '^tiny: the passage id "p 4" holds white space'),
        ([*PASSAGES, Passage("p" * 4097, "", "x")], TRAIN, 'the passage id "p+ is longer than 4,096 char'),
        ([*PASSAGES, Passage("p4", "", "\udce9")], TRAIN, '^tiny: the text of passage "p4" is not UTF-8'),
        ([*PASSAGES, Passage("\udce9", "", "x")], TRAIN, "^tiny: the id of passage .* is not UTF-8"),
        (PASSAGES, ([Query("a", " \n")], {}), '^tiny/train: query "a" has no text; remove it or give it one'),
        (PASSAGES, ([*TRAIN[0], Query("a", "z")], {}), '^tiny/train: the query id "a" comes twice; give'),
        (PASSAGES, ([Query("", "z")], {}), "^tiny/train: the query in place 1 has an empty id"),
        (PASSAGES, (TRAIN[0], {"a": {"p9": 1}}), '^tiny/train: a qrel of query "a" names the unknown passage "p9"'),
        (PASSAGES, (TRAIN[0], {"q": {"p1": 1}}), '^tiny/train: a qrel names the unknown query "q"; remove'),
        ([Passage(1, "", "x")], TRAIN, r"^tiny: the passage in place 1 \(1\) has the id 1, which is no text"),  # type: ignore[arg-type]
        ([Passage("p1", "", None)], TRAIN, "the passage in place 1 .* has the text null, which is no text"),  # type: ignore[arg-type]
        (PASSAGES, ([Query("a", None)], {}), "^tiny/train: the query in place 1 .* has the text null"),
        (PASSAGES, (TRAIN[0], {"a": {1: 1}}), 'a qrel of query "a" names the unknown passage 1;'),
        (PASSAGES, (TRAIN[0], {1: {"p1": 1}}), "a qrel names the unknown query 1;"),
        (PASSAGES, (TRAIN[0], {"a": {"p1": "1"}}), 'passage "p1" has the grade "1"; make it a whole number'),
        ([], (TRAIN[0], TRAIN[1]), "^tiny: there is no passage; add some"),
        (PASSAGES, ([], {}), "^tiny/train: no query has a relevant passage"),
        (PASSAGES, (TRAIN[0], {"a": {"p1": 0}}), "^tiny/train: no query has a relevant passage, one with a score"),
    ],
)
def test_validate_names_what_is_wrong(passages: list[Passage], train: tuple[list[Query], Judged], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        validate(tiny(passages, train))
    assert "\n" not in str(caught.value) and len(caught.value.args) == 1


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ({"a": ["p1", "p9"]}, '^tiny/train: a negative of query "a" names the unknown passage "p9"; remove it or add'),
        ({"a": [None]}, "names the unknown passage null"),
        ({"q": ["p1"]}, '^tiny/train: a negative names the unknown query "q"'),
    ],
)
def test_validate_reads_the_negatives_too(negatives: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(tiny(negatives={"train": negatives}))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EOFError("ended"), 'tiny: the file is truncated or damaged after passage "p2"'),
        (zlib.error("bad"), 'tiny: the file is truncated or damaged after passage "p2"'),
        (gzip.BadGzipFile("bad"), 'tiny: the file is truncated or damaged after passage "p2"'),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 'tiny: not UTF-8 after passage "p2"'),
    ],
)
def test_validate_says_where_a_file_breaks_off(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def broken() -> Iterator[Passage]:
        yield from PASSAGES[:2]
        raise error

    collection = tiny()
    monkeypatch.setattr(collection, "passages", broken)
    with pytest.raises(UserError, match=message):
        validate(collection)


def test_validate_reads_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def many() -> Iterator[Passage]:
        nonlocal asked
        for number in range(10_000):
            asked += 1
            yield Passage("" if number == 3 else f"p{number}", "", "x")

    collection = tiny()
    monkeypatch.setattr(collection, "passages", many)
    with pytest.raises(UserError, match="place 4"):
        validate(collection)
    assert asked == 4


def test_the_relevant_grade_is_one_for_all() -> None:
    collection = tiny(train=(TRAIN[0], {"a": {"p1": 1, "p2": 2, "p3": 3}, "b": {"p3": 1}}))
    assert collection.relevant("train") == {"a": ["p1", "p2", "p3"], "b": ["p3"]}
    graded = replace(collection, relevant_from={"train": 2})
    assert graded.relevant("train") == {"a": ["p2", "p3"], "b": []} and graded.relevant_grade("test") == 1
    assert statistics(graded)["splits"]["train"]["qrels"] == 2 and graded.qrels("train") == collection.qrels("train")
    with pytest.raises(UserError, match="^tiny/train: no query has a relevant passage, one with a score of 4 or more"):
        validate(replace(collection, relevant_from={"train": 4}))


def test_statistics() -> None:
    assert statistics(tiny()) == {
        "passages": 3,
        "duplicate_passage_texts": 1,
        "splits": {
            "train": {"queries": 2, "qrels": 2, "relevant_per_query": 1.0},
            "test": {"queries": 2, "qrels": 2, "relevant_per_query": 1.0},
        },
        "overlaps": {"test": {"queries_in_train": 1, "positives_in_train": 1}},
    }


def test_fingerprint_sees_every_change() -> None:
    base = tiny().fingerprint()
    assert tiny().fingerprint() == base
    assert collection_of("other name", PASSAGES, {"train": TRAIN, "test": TEST}).fingerprint() == base
    changed: list[Callable[[], Collection]] = [
        lambda: tiny(PASSAGES[::-1]),
        lambda: tiny([Passage("p1", "", "One text"), *PASSAGES[1:]]),
        lambda: tiny([Passage("p1", "One", "  text"), *PASSAGES[1:]]),
        lambda: tiny(train=(TRAIN[0][::-1], TRAIN[1])),
        lambda: tiny(train=(TRAIN[0], {**TRAIN[1], "b": {"p3": 2}})),
        lambda: tiny(train=(TRAIN[0], {**TRAIN[1], "b": {"p2": 1}})),
    ]
    prints = [make().fingerprint() for make in changed]
    assert len({base, *prints}) == len(prints) + 1


def test_answers_stand_for_judgements_of_test_alone() -> None:
    split = ([Query("a", "what")], {"a": {"p1": 0}})
    collection = collection_of("tiny", PASSAGES, {"train": TRAIN, "test": split})
    with pytest.raises(UserError, match="^tiny/test: no query has a relevant passage"):
        validate(collection)
    collection.answers = {"test": lambda: iter([("a", ["x"])])}
    validate(collection)
    collection = collection_of("tiny", PASSAGES, {"train": split})
    collection.answers = {"train": lambda: iter([("a", ["x"])])}
    with pytest.raises(UserError, match="^tiny/train: no query has a relevant passage"):
        validate(collection)
