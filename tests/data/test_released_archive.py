"""The data released with SimLM, on a replica in miniature: packed, unpacked, and damaged."""

import gzip
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from simlm.data import readers
from simlm.data.checks import validate
from simlm.data.lookup import resolve
from simlm.data.opening import open_collection
from simlm.data.released_archive import ARCHIVE
from simlm.errors import UserError
from tests.data.beir import write_beir
from tests.data.released import COUNT, TRAINED, packed, replica, trec_dl, unpacked

FILES = replica()
PASSAGES = gzip.decompress(FILES["passages.jsonl.gz"]).splitlines(keepends=True)
TRAIN = FILES["train.jsonl"].splitlines(keepends=True)
LOST, TWICE = (gzip.compress(b"".join(PASSAGES[:7] + PASSAGES[start:])) for start in (8, 6))


@pytest.mark.parametrize("make", [packed, unpacked])
def test_rows_are_those_of_the_files(make: Callable[[Path], Path], tmp_path: Path) -> None:
    collection = open_collection(str(make(tmp_path)))
    validate(collection)
    assert (collection.name, collection.has_titles) == ("SimLM's MS MARCO", True)
    passages = list(collection.passages())
    assert len(passages) == COUNT and passages[1] == ("1", "title 1", "text 1") and passages[3] == ("3", "", "text 3")
    assert list(collection.queries("test"))[4] == ("4", "dev query 4") and collection.qrels("test")["4"] == {"4": 1}
    train, valid = ({query.id: query.text for query in collection.queries(split)} for split in ("train", "valid"))
    assert len(train) + len(valid) == TRAINED and 0 < len(valid) < 15 and not train.keys() & valid.keys()
    assert collection.qrels("train").keys() == train.keys() and collection.qrels("valid").keys() == valid.keys()
    negatives = dict(collection.negatives("train"))
    assert negatives.keys() == train.keys() and negatives["1000"] == ["3", "1", "2"]
    assert list(collection.negatives("valid")) and not list(collection.negatives("test"))


def test_trec_dl_is_two_further_test_splits_with_grades(tmp_path: Path) -> None:
    found = resolve(str(packed(tmp_path, **trec_dl())))
    assert (
        found.extra_test_splits == ("trec-dl-2019", "trec-dl-2020")
        and resolve(str(packed(tmp_path / "none"))).extra_test_splits == ()
    )
    collection = open_collection(str(tmp_path))
    validate(collection)
    assert collection.splits == ("train", "valid", "test", *found.extra_test_splits)
    assert [query.text for query in collection.queries("trec-dl-2020")] == [f"text {n + 2}" for n in range(4)]
    assert collection.qrels("trec-dl-2019")["2019001"] == {"4": 3, "3": 2, "2": 1, "1": 0}
    assert not list(collection.negatives("trec-dl-2019"))


def test_train_queries_without_an_official_negative_are_train_queries_all_the_same(tmp_path: Path) -> None:
    """Mining is for all of them; the lists of train.jsonl are for some."""
    whole, fewer = (
        open_collection(str(packed(tmp_path / "a"))),
        packed(tmp_path / "b", train__jsonl=b"".join(TRAIN[9:])),
    )
    other = open_collection(str(fewer))
    validate(other)
    for split in ("train", "valid"):
        assert list(other.queries(split)) == list(whole.queries(split)) and other.qrels(split) == whole.qrels(split)
        assert dict(other.negatives(split)).items() <= dict(whole.negatives(split)).items()
    assert sum(len(dict(other.negatives(split))) for split in ("train", "valid")) == TRAINED - 9
    alone = open_collection(str(packed(tmp_path / "c", **ALONE)))
    for split in ("train", "valid"):
        assert list(alone.queries(split)) == list(whole.queries(split)) and alone.qrels(split) == whole.qrels(split)


def test_packed_or_not_it_is_the_same_collection(tmp_path: Path) -> None:
    found = [resolve(str(make(tmp_path / make.__name__))) for make in (packed, unpacked)]
    found.append(resolve(str(tmp_path / "unpacked" / ARCHIVE)))
    assert {(one.collection, one.digest) for one in found} == {("released archives", found[0].digest)}
    assert found[0].has_negatives
    other = resolve(str(packed(tmp_path / "other", train__jsonl=b"".join(TRAIN[:-1]))))
    assert other.digest != found[0].digest


def test_a_corpus_beside_the_archive_is_what_is_meant(tmp_path: Path) -> None:
    assert resolve(str(write_beir(packed(tmp_path)))).collection == "beir folder"


def changed_line(lines: list[bytes], number: int, old: bytes, new: bytes) -> bytes:
    assert old in lines[number - 1]
    return b"".join([*lines[: number - 1], lines[number - 1].replace(old, new), *lines[number:]])


ALONE: dict[str, bytes | None] = {"train_queries__tsv": None, "train_qrels__txt": None}
"""Without the tables of train queries, train.jsonl is what says which there are."""
DAMAGE: list[tuple[dict[str, bytes | None], str]] = [
    ({"train__jsonl": None}, ": train.jsonl is missing; fetch"),
    ({"dev_qrels__txt": None}, ": dev_qrels.txt is missing; fetch"),
    ({"passages__jsonl__gz": LOST}, "passages.jsonl.gz:8: the id is '8'"),
    ({"passages__jsonl__gz": TWICE}, "passages.jsonl.gz:8: the id is '6'"),
    ({"passages__jsonl__gz": gzip.compress(b"".join(PASSAGES))[:-20]}, "passages.jsonl.gz:"),
    ({"passages__jsonl__gz": gzip.compress(b"".join(PASSAGES[:-9]))}, 'names the unknown passage "31"'),
    ({"train__jsonl": changed_line(TRAIN, 5, b"{", b"<")}, "train.jsonl:5: this line is no JSON"),
    ({"train__jsonl": changed_line(TRAIN, 5, b'"positives"', b'"answers"')}, 'train.jsonl:5: "positives" is no object'),
    ({"train__jsonl": changed_line(TRAIN, 5, b'"score": [7.5]', b'"score": []')}, 'train.jsonl:5: "positives" has 1'),
    ({"train__jsonl": changed_line(TRAIN, 5, b'"1004"', b'"1003"')}, "train.jsonl:5: the query id '1003' comes twice"),
    (
        ALONE | {"train__jsonl": changed_line(TRAIN, 5, b'"1004"', b'"1003"')},
        'train.jsonl:5: the query id "1003" comes twice',
    ),
    (ALONE | {"train__jsonl": changed_line(TRAIN, 5, b'["4"]', b'["99"]')}, "train.jsonl:5: a qrel of query"),
    ({"train__jsonl": changed_line(TRAIN, 5, b'"1004"', b'"9"')}, 'a negative names the unknown query "9"'),
    ({"train_qrels__txt": None}, ": train_qrels.txt is missing; fetch"),
    ({"train_qrels__txt": b"1000\t0\t77\t1\n"}, 'train_qrels.txt:1: a qrel of query "1000" names the unknown passage'),
    (trec_dl() | {"trec_dl2020_qrels__txt": None}, ": trec_dl2020_qrels.txt is missing; fetch"),
    (trec_dl() | {"trec_dl2019_qrels__txt": b"2019000\tQ0\t3\t0\n"}, "trec-dl-2019: no query has a relevant passage"),
    (trec_dl() | {"trec_dl2019_queries__tsv": b"7\ta\tb\n"}, "trec_dl2019_queries.tsv:1: 3 columns where 2"),
    ({"dev_queries__tsv": b"0 dev query\n"}, "dev_queries.tsv:1: 1 columns where 2"),
    ({"dev_queries__tsv": b"0\tx\n0\ty\n"}, 'dev_queries.tsv:2: the query id "0" comes twice'),
    ({"dev_qrels__txt": b"0\t0\t0\t1\n1\t1\t1\n"}, "dev_qrels.txt:2: 3 columns where 4"),
    ({"dev_qrels__txt": b"0\t0\t0\tyes\n"}, "dev_qrels.txt:1: the label 'yes' is no whole number"),
    ({"dev_qrels__txt": b"0\t0\t0\t1\n1\t0\t1\t%d\n" % (10**22)}, "dev_qrels.txt:2: the qrel of query"),
    ({"dev_qrels__txt": b"0\t0\t0\t1\n0\t1\t0\t0\n"}, "dev_qrels.txt:2: query '0' and passage '0' have another label"),
    ({"dev_qrels__txt": b""}, "dev_qrels.txt: there is no judgement in it"),
    ({"passages__jsonl__gz": b""}, "passages.jsonl.gz:1: there is no passage"),
    ({"passages__jsonl__gz": gzip.compress(b"")}, "passages.jsonl.gz:1: there is no passage"),
    ({"dev_qrels__txt": b"9\t0\t0\t1\n"}, 'dev_qrels.txt:1: a qrel names the unknown query "9"'),
]


@pytest.mark.parametrize("make", [packed, unpacked])
@pytest.mark.parametrize(("changed", "said"), DAMAGE)
def test_damage_is_named(
    make: Callable[..., Path], changed: dict[str, bytes | None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        validate(open_collection(str(make(tmp_path, **changed))))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def archive(folder: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(folder / f"{ARCHIVE}.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return folder


@pytest.mark.parametrize(
    "name", ["../train.jsonl", "/etc/train.jsonl", "a/../../x", "..\\x", "C:/train.jsonl", ".", "./."]
)
def test_no_name_leads_out_of_the_archive(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leads out of the archive"):
        resolve(str(archive(tmp_path, name, b"x")))
    assert [path.name for path in tmp_path.rglob("*")] == [f"{ARCHIVE}.zip"]


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="would unpack from .* to 9,000,000 bytes"):
        resolve(str(archive(tmp_path, "train.jsonl", bytes(9_000_000))))


def test_a_bomb_that_declares_little_is_not_read_beyond_that(tmp_path: Path) -> None:
    """Its directory says 1,000 bytes; no more are read, and the checksum does not fit them."""
    path = packed(tmp_path, train__jsonl=b" " * 150_000) / f"{ARCHIVE}.zip"
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 150_000)) == 2
    path.write_bytes(data.replace(struct.pack("<I", 150_000), struct.pack("<I", 1000)))
    with pytest.raises(UserError, match=r"train\.jsonl: the file is truncated or damaged"):
        resolve(str(tmp_path))


def test_a_gzipped_bomb_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LARGEST", 1500)
    with pytest.raises(UserError, match=r"passages\.jsonl\.gz:\d+: unpacks to more than 1,500 bytes"):
        validate(open_collection(str(unpacked(tmp_path))))


def test_too_large_a_file_and_two_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path) / f"{ARCHIVE}.zip"
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("elsewhere/train.jsonl", b"x")
    with pytest.raises(UserError, match=r"there are two files 'train\.jsonl' in it"):
        readers.members(path, ["train.jsonl"])
    assert list(readers.members(path, ["dev_qrels.txt"])) == ["dev_qrels.txt"]  # what is not read may come twice
    monkeypatch.setattr(readers, "LARGEST", 100)
    with pytest.raises(UserError, match="more than any released file"):
        readers.members(path, ["train.jsonl"])


def test_an_empty_folder_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).mkdir()
    with pytest.raises(UserError, match=rf"/{ARCHIVE}: passages\.jsonl\.gz is missing"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_truncated_archive(keep: int, tmp_path: Path) -> None:
    path = packed(tmp_path) / f"{ARCHIVE}.zip"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"\.zip: no zip archive, or a damaged one .*; fetch it again"):
        resolve(str(tmp_path))


def test_an_archive_with_changed_bytes(tmp_path: Path) -> None:
    path = packed(tmp_path) / f"{ARCHIVE}.zip"
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        start = file.getinfo(f"{ARCHIVE}/train.jsonl").header_offset
    data[start + 200 : start + 210] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train\.jsonl: the file is truncated or damaged"):
        resolve(str(tmp_path))
