"""A part of a collection: what belongs together stays together, whatever the source."""

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simlm.data import part
from simlm.data.checks import validate
from simlm.data.collection import Collection
from simlm.data.opening import open_collection
from simlm.data.part import Part
from simlm.errors import UserError
from tests.data.beir import HEAD, write_beir
from tests.data.released import passages, trec_dl, unpacked

OTHERS = 7


@pytest.fixture(params=["insuranceqa-smoke", "released"])
def whole(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A collection of a package, and one of files with titles and further splits; both have lists of negatives."""
    monkeypatch.setattr(part, "QUERIES", 2)
    monkeypatch.setattr(part, "NEGATIVES", 1)
    if request.param == "released":
        folder = unpacked(tmp_path / "data", passages__jsonl__gz=passages(400), **trec_dl())
        return open_collection(str(folder))
    return open_collection("insuranceqa-smoke")


def test_queries_keep_what_is_judged_for_them_and_lists_something(whole: Collection) -> None:
    one = Part(whole, OTHERS)
    validate(one)
    ids = [passage.id for passage in one.passages()]
    assert ids == [passage.id for passage in whole.passages() if passage.id in set(ids)], "in the whole's order"
    named = set()
    for split in whole.splits:
        queries = [query.id for query in one.queries(split)]
        assert queries == [query.id for query in whole.queries(split) if query.id in whole.qrels(split)][:2]
        assert one.qrels(split) == {query: whole.qrels(split)[query] for query in queries}
        named |= {passage for row in one.qrels(split).values() for passage in row}
    for split in whole.splits:
        lists = dict(whole.negatives(split))
        for query, row in one.negatives(split):
            assert row == [id for id in lists[query] if id in set(ids)] and row[0] == lists[query][0]
            named.add(row[0])
    assert named <= set(ids) and len(set(ids) - named) == OTHERS
    assert one.counted() == {
        "passages": sum(1 for _ in whole.passages()),
        "queries": {split: sum(1 for _ in whole.queries(split)) for split in whole.splits},
    }
    assert one.fingerprint() == Part(whole, OTHERS).fingerprint() != Part(whole, OTHERS + 1).fingerprint()


def test_all_of_a_small_collection_is_its_part() -> None:
    whole = open_collection("insuranceqa-smoke")
    one = Part(whole, 4_000)
    assert one.fingerprint() == whole.fingerprint() and one.has_titles == whole.has_titles


def test_what_is_wrong_behind_the_part_is_found(tmp_path: Path) -> None:
    lines = gzip.decompress(passages(400)).splitlines(keepends=True)
    folder = unpacked(tmp_path / "data", passages__jsonl__gz=gzip.compress(b"".join(lines[:-2] + lines[-1:])))
    with pytest.raises(UserError, match="a line is missing"):
        list(Part(open_collection(str(folder)), OTHERS).passages())


def test_a_query_without_a_relevant_passage_is_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "QUERIES", 1)
    one = Part(open_collection(str(write_beir(tmp_path, train=f"{HEAD}q0\tp2\t0\nq1\tp1\t1\n"))), OTHERS)
    validate(one)
    assert [query.id for query in one.queries("train")] == ["q1"]


def test_a_split_without_lists_of_negatives_has_none() -> None:
    whole = open_collection("insuranceqa-smoke")
    whole.datasets = dict(whole.datasets) | {"test": _without_lists(whole.datasets["test"])}
    one = Part(whole, OTHERS)
    assert list(one.passages()) and list(one.negatives("train"))
    with pytest.raises(UserError, match="no negatives of its own for 'test'"):
        one.negatives("test").__next__()


def _without_lists(split: Any) -> Any:
    return SimpleNamespace(queries_iter=split.queries_iter, qrels_iter=split.qrels_iter, has_scoreddocs=lambda: False)


def test_answers_are_those_of_the_parts_questions() -> None:
    rows = [(f"none {number}", [f"answer {number}"]) for number in range(400)]
    whole = open_collection("insuranceqa-smoke")
    whole.answers = {"test": lambda: iter(rows + [(next(whole.queries("test")).id, ["yes"])])}
    one = Part(whole, OTHERS)
    assert [answers for _, answers in one.answers["test"]()] == [["yes"]]
