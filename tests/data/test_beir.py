"""Folders in BEIR's layout: what is read from them, what makes them another collection, and what damage gets."""

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from simlm.data import readers
from simlm.data.checks import validate
from simlm.data.irds import TitledDoc, ir_datasets
from simlm.data.lookup import resolve
from simlm.data.opening import open_collection
from simlm.errors import UserError
from tests.data.beir import HEAD, jsonl, write_beir


def test_rows_are_those_of_the_files(tmp_path: Path) -> None:
    collection = open_collection(str(write_beir(tmp_path / "notes")))
    validate(collection)
    assert collection.name == "notes" and collection.splits == ("train", "valid", "test")
    assert collection.has_titles
    assert list(collection.passages()) == [
        ("p1", "First", "one  text"),
        ("p2", "", "other"),
        ("p3", "", "no title"),
        ("4", "", "an id that is a number"),
    ]
    assert list(collection.queries("valid")) == [("q2", "query 2")]
    assert collection.qrels("valid") == {"q2": {"p2": 1, "4": 0}}
    with pytest.raises(UserError, match="notes has no negatives of its own for 'train'"):
        next(collection.negatives("train"))


def test_without_any_title_there_is_the_text_alone(tmp_path: Path) -> None:
    corpus = jsonl(
        [{"_id": f"p{number}", "title": " ", "text": "x"} for number in (1, 2, 3)] + [{"_id": "4", "text": ""}]
    )
    assert not open_collection(str(write_beir(tmp_path, corpus_jsonl=corpus))).has_titles


def test_is_an_ir_datasets_object(tmp_path: Path) -> None:
    collection = open_collection(str(write_beir(tmp_path)))
    dataset = ir_datasets.load(collection.registered["train"])
    assert next(iter(dataset.docs)) == TitledDoc("p1", "First", "one  text")
    assert dataset.docs_count() == 4 and dataset.queries_count() == 1
    store = dataset.docs_store()
    assert store.get("p3").text == "no title"
    assert {doc.doc_id for doc in store.get_many_iter(["4", "p2", "none"])} == {"4", "p2"}
    assert list(store.get_many_iter([])) == []


def test_gzipped_files_hold_the_same(tmp_path: Path) -> None:
    plain, packed = write_beir(tmp_path / "plain"), tmp_path / "packed"
    shutil.copytree(plain, packed)
    for name in ("corpus.jsonl", "queries.jsonl"):
        (packed / f"{name}.gz").write_bytes(gzip.compress((packed / name).read_bytes()))
        (packed / name).unlink()
    one, other = open_collection(str(plain)), open_collection(str(packed))
    validate(other)
    assert one.fingerprint() == other.fingerprint()


def test_windows_line_ends_and_a_byte_order_mark_are_no_content(tmp_path: Path) -> None:
    one = open_collection(str(write_beir(tmp_path / "one")))
    for path in shutil.copytree(tmp_path / "one", tmp_path / "other").rglob("*.*l*"):
        if path.is_file():
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    tsv = tmp_path / "other" / "qrels" / "test.tsv"
    tsv.write_bytes(tsv.read_bytes().replace(b"\n", b"\r\n"))
    other = open_collection(str(tmp_path / "other"))
    validate(other)
    assert one.fingerprint() == other.fingerprint()


def test_valid_can_be_called_dev_or_valid(tmp_path: Path) -> None:
    folder = write_beir(tmp_path)
    (folder / "qrels" / "dev.tsv").rename(folder / "qrels" / "valid.tsv")
    assert resolve(str(folder)).collection == "beir folder"
    shutil.copy(folder / "qrels" / "valid.tsv", folder / "qrels" / "dev.tsv")
    resolve.cache_clear()
    with pytest.raises(UserError, match=r"qrels/dev\.tsv and valid\.tsv mean the same: keep one"):
        resolve(str(folder))


def test_a_changed_file_is_another_collection_and_another_place_is_not(tmp_path: Path) -> None:
    one = resolve(str(write_beir(tmp_path / "one")))
    moved = resolve(str(shutil.copytree(tmp_path / "one", tmp_path / "two")))
    assert (moved.collection, moved.digest) == (one.collection, one.digest) and moved.location != one.location
    seen = {one.digest}
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv", "qrels/test.tsv"):
        folder = shutil.copytree(tmp_path / "one", tmp_path / name.replace("/", "-"))
        text = (folder / name).read_text()
        (folder / name).write_text(text + text.splitlines(keepends=True)[-1].replace("q", "Q").replace("p", "P"))
        seen.add(resolve(str(folder)).digest)
    assert len(seen) == 6
    assert len({resolve(str(tmp_path / name)).slug for name in ("one", "two")}) == 2


def test_files_that_change_under_a_command_are_noticed(tmp_path: Path) -> None:
    folder = write_beir(tmp_path)
    found = resolve(str(folder))
    (folder / "queries.jsonl").write_text(jsonl([{"_id": "q1", "text": "another"}]))
    with pytest.raises(UserError, match="its files changed since this command began; run it again"):
        open_collection(found.collection, found.location, found.digest)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corpus_jsonl", r"corpus\.jsonl is missing: its passages are .*; add it \(or corpus\.jsonl\.gz\)"),
        ("queries_jsonl", r"queries\.jsonl is missing: it has the text of every query"),
        ("train", r"qrels/train\.tsv is missing: its queries are what retrievers and re-rankers are trained on"),
        ("valid", r"qrels/dev\.tsv is missing: on its queries BM25 .* tuned on test; add it \(or valid"),
        ("test", r"qrels/test\.tsv is missing: its queries are what the report measures"),
    ],
)
def test_a_missing_file_is_named_with_what_it_is_for(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        resolve(str(write_beir(tmp_path, **{name: None})))


def test_a_pipe_is_no_missing_file(tmp_path: Path) -> None:
    folder = write_beir(tmp_path, corpus_jsonl=None)
    os.mkfifo(folder / "corpus.jsonl.gz")
    with pytest.raises(UserError, match=r"corpus\.jsonl\.gz is a FIFO: its passages are"):
        resolve(str(folder))
    with pytest.raises(UserError, match=r"--collection .*corpus\.jsonl\.gz is a FIFO; give a folder"):
        resolve(str(folder / "corpus.jsonl.gz"))


P1 = '{"_id": "p1", "text": "x"}\n'
REST = '{"_id": "p2", "text": "x"}\n{"_id": "p3", "text": "x"}\n{"_id": "4", "text": "x"}\n'
Q = "".join(f'{{"_id": "q{number}", "text": "x"}}\n' for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"corpus_jsonl": P1 + "{not json\n"}, "corpus.jsonl:2: this line is no JSON (Expecting property name"),
        ({"corpus_jsonl": P1 + "[1]\n"}, "corpus.jsonl:2: this line is no JSON object"),
        ({"corpus_jsonl": P1 + "[" * 100_000 + "\n"}, "corpus.jsonl:2: this line is "),
        ({"corpus_jsonl": P1 + '{"text": "x"}\n'}, 'corpus.jsonl:2: this line lacks "_id"'),
        ({"corpus_jsonl": P1 + '{"_id": "p2"}\n'}, 'corpus.jsonl:2: this line lacks "text"'),
        ({"corpus_jsonl": P1 + '{"_id": "p2", "text": 7}\n'}, 'corpus.jsonl:2: "text" is no string'),
        ({"corpus_jsonl": P1 + '{"_id": true, "text": "x"}\n'}, 'corpus.jsonl:2: "_id" is no string'),
        ({"corpus_jsonl": P1 + '{"_id": " ", "text": "x"}\n'}, 'corpus.jsonl:2: "_id" is empty'),
        ({"corpus_jsonl": P1 + '{"_id": "a b", "text": "x"}\n'}, 'corpus.jsonl:2: the passage id "a b" holds white'),
        *(
            (
                {"corpus_jsonl": P1 + json.dumps({"_id": f"p2{one}", "text": "x"}) + "\n"},
                f"corpus.jsonl:2: the passage id {json.dumps('p2' + one)} holds the control character U+{ord(one):04X}",
            )
            for one in "\0\x07\x7f\x9f\ufeff"
        ),
        (
            {"queries_jsonl": Q.replace("q1", "q\\u0000"), "train": HEAD + "q\0\tp1\t1\n"},
            'queries.jsonl:1: the query id "q\\u0000" holds the control character U+0000',
        ),
        ({"corpus_jsonl": P1 + REST + P1}, 'corpus.jsonl:5: the passage id "p1" comes twice'),
        ({"corpus_jsonl": P1 + '{"_id": "p2", "text": "\\ud800"}\n'}, 'corpus.jsonl:2: the text of passage "p2"'),
        ({"corpus_jsonl": P1.encode() + b'{"_id": "p2", "text": "\xff"}\n'}, "corpus.jsonl:2: this line is not UTF-8"),
        ({"corpus_jsonl": ""}, "corpus.jsonl:1: there is no passage"),
        ({"corpus_jsonl": P1}, 'qrels/train.tsv:3: a qrel of query "q1" names the unknown passage "4"'),
        ({"queries_jsonl": '{"_id": "q0", "text": "x"}\n' + Q + Q}, 'queries.jsonl:5: the query id "q1" comes twice'),
        ({"queries_jsonl": Q.replace('"x"', '" "')}, 'queries.jsonl:1: query "q1" has no text'),
        ({"queries_jsonl": Q.replace("q2", "q9")}, 'qrels/dev.tsv:2: a qrel names the unknown query "q2"'),
        ({"train": ""}, "qrels/train.tsv: there is no judgement in it"),
        ({"train": "q1\tp1\t1\n"}, "qrels/train.tsv:1: the first line must name the columns query-id"),
        ({"train": HEAD + "q1 p1 1\n"}, "qrels/train.tsv:2: 1 columns where 3, separated by tabs, must be"),
        ({"train": HEAD + "q1\tp1\tyes\n"}, "qrels/train.tsv:2: the score 'yes' is no whole number"),
        ({"train": HEAD + "q1\tp1\t1_0\n"}, "qrels/train.tsv:2: the score '1_0' is no whole number"),
        *(
            (
                {"train": HEAD + f"q1\tp1\t1\nq1\tp2\t{grade}\n"},
                f'qrels/train.tsv:3: the qrel of query "q1" and passage "p2" has the grade {grade}; give grades from',
            )
            for grade in (1001, -1001, 2**31, 2**33, 2**61, 2**63)
        ),
        ({"train": HEAD + "q1\tp1\t1\nq1\tp1\t0\n"}, "qrels/train.tsv:3: query 'q1' and passage 'p1' have"),
        ({"train": HEAD + "q1\tp1\t0\n"}, "notes/train: no query has a relevant passage"),
        ({"train": HEAD.encode() + b"q1\t\xff\t1\n"}, "qrels/train.tsv:2: this line is not UTF-8"),
    ],
)
def test_damage_is_named_with_file_and_line(changed: dict[str, str | bytes], said: str, tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "notes", **changed)
    with pytest.raises(UserError) as caught:
        validate(open_collection(str(folder)))
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600
    assert line.removeprefix(f"{folder}/").startswith(said)


def test_ids_and_grades_that_look_odd_are_fine(tmp_path: Path) -> None:
    ids = ["NA", "007", "1e5", "<dbpedia:Č,\"'>", "a\u200db", "😀"]
    rows = [{"_id": id, "text": "x"} for id in ids]
    qrels = f"{HEAD}NA\t007\t1000\nNA\t1e5\t-1000\n"
    folder = write_beir(
        tmp_path, corpus_jsonl=jsonl(rows), queries_jsonl=jsonl(rows), train=qrels, valid=qrels, test=qrels
    )
    validate(open_collection(str(folder)))


def test_a_repeated_judgement_counts_once(tmp_path: Path) -> None:
    collection = open_collection(str(write_beir(tmp_path, train=f"{HEAD}q1\tp1\t1\nq1\tp1\t1\n")))
    validate(collection)
    assert collection.qrels("train") == {"q1": {"p1": 1}}


@pytest.mark.parametrize("cut", [1, 9, 200, 2000])
def test_a_truncated_gzip_file(cut: int, tmp_path: Path) -> None:
    rows = [{"_id": f"p{number}", "text": f"{number * number} " * 9} for number in range(500)]
    data = gzip.compress(jsonl([*rows, {"_id": "4", "text": "x"}]).encode())
    folder = write_beir(tmp_path, corpus_jsonl=None, corpus_jsonl_gz=data[:-cut])
    with pytest.raises(UserError, match=r"corpus\.jsonl\.gz:\d+: the file is truncated or damaged from here on"):
        validate(open_collection(str(folder)))


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LONGEST_LINE", 1000)
    data = gzip.compress(P1.encode() + b" " * 5000)
    folder = write_beir(tmp_path, corpus_jsonl=None, corpus_jsonl_gz=data)
    with pytest.raises(UserError, match=r"corpus\.jsonl\.gz:2: this line is longer than 1,000 bytes"):
        validate(open_collection(str(folder)))


def test_unknown_places() -> None:
    with pytest.raises(UserError, match="unknown collection 'nowhere': choose one of insuranceqa.*, a folder in"):
        open_collection("nowhere")
    with pytest.raises(UserError, match="--collection nowhere: .*nowhere is missing; give a folder in"):
        resolve("nowhere")


def test_no_texts_are_kept(tmp_path: Path) -> None:
    """Texts are validated and looked up in a fraction of their size."""
    import tracemalloc

    folder = write_beir(tmp_path)
    with (folder / "corpus.jsonl").open("a") as file:
        for number in range(10_000):
            file.write(json.dumps({"_id": f"x{number}", "text": f"{number} " * 170}) + "\n")
    size = (folder / "corpus.jsonl").stat().st_size
    tracemalloc.start()
    collection = open_collection(str(folder))
    validate(collection)
    collection.fingerprint()
    assert collection.docs.docs_store().get("x9999").text.startswith("9999 ")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2
