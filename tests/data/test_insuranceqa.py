"""InsuranceQA as the installed package holds it, and what damaged files of it get."""

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.data import insuranceqa
from simlm.data.catalogue import HALVES, SMOKE
from simlm.data.checks import validate
from simlm.data.collection import SPLITS, statistics
from simlm.data.insuranceqa import dealt_out
from simlm.data.irds import ir_datasets
from simlm.data.opening import open_collection
from simlm.errors import UserError


def test_counts_and_overlaps_of_the_package() -> None:
    collection = open_collection("insuranceqa")
    validate(collection)
    found = statistics(collection)
    assert found["passages"] == 27_413
    assert found["duplicate_passage_texts"] == 1
    assert {split: row["queries"] for split, row in found["splits"].items()} == {
        "train": 12_889,
        "valid": 2_000,
        "test": 2_000,
    }
    assert all(1.64 < row["relevant_per_query"] < 1.68 for row in found["splits"].values())
    assert found["overlaps"]["test"] == {"queries_in_train": 6, "positives_in_train": 98}
    assert not collection.has_titles
    passages = list(collection.passages())
    assert [int(passage.id) for passage in passages] == list(range(1, 27_414))
    assert all(passage.text == " ".join(passage.text.split()) != "" for passage in passages)
    ids = {passage.id for passage in passages}
    rows = list(collection.negatives("test"))
    assert [query for query, _ in rows] == [query.id for query in collection.queries("test")]
    assert all(len(negatives) == 200 and ids.issuperset(negatives) for _, negatives in rows)
    judged = collection.qrels("test")
    assert not any(judged[query].keys() & negatives for query, negatives in rows)


def test_smoke_keeps_its_rule() -> None:
    collection = open_collection("insuranceqa-smoke")
    validate(collection)
    passages = [passage.id for passage in collection.passages()]
    assert passages == [str(number) for number in range(1, 601)]
    whole = open_collection("insuranceqa")
    for split, count in SMOKE.queries.items():
        queries = list(collection.queries(split))
        judged = whole.qrels(split)
        eligible = [query for query in whole.queries(split) if judged[query.id].keys() & set(passages)]
        assert queries == eligible[:count] and len(queries) == count
        assert collection.qrels(split) == {
            query.id: {id: grade for id, grade in judged[query.id].items() if id in set(passages)} for query in queries
        }
        negatives = [id for _, ids in collection.negatives(split) for id in ids]
        assert negatives and set(negatives) <= set(passages)


LIFE = {"disability-insurance", "life-insurance", "long-term-care-insurance", "renters-insurance"}


def domains(name: str, split: str) -> dict[str, str]:
    """The domain of every question of a split."""
    return {query.query_id: query.domain for query in ir_datasets.load(f"{name}/{split}").queries_iter()}


@pytest.fixture(scope="module")
def first_domains() -> dict[str, str]:
    """Of every passage the domain of the first question that it answers in the whole package."""
    found: dict[str, str] = {}
    for split in SPLITS:
        of = domains("insuranceqa", split)
        for query, judged in open_collection("insuranceqa").qrels(split).items():
            for passage in judged:
                found.setdefault(passage, of[query])
    return found


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(("name", "splits"), [("insuranceqa", ("test",)), ("insuranceqa-smoke", SPLITS)])
def test_halves_share_no_passage_and_keep_their_rule(
    name: str, splits: tuple[str, ...], half: str, first_domains: dict[str, str]
) -> None:
    whole, collection = open_collection(name), open_collection(f"{name}-{half}")
    validate(collection)
    expected = [one for one in whole.passages() if (first_domains[one.id] in LIFE) == (half == "life")]
    assert list(collection.passages()) == expected
    inside = {passage.id for passage in expected}
    for split in splits:
        own = {id for id, domain in domains(name, split).items() if (domain in LIFE) == (half == "life")}
        kept = {
            query: {id: grade for id, grade in judged.items() if id in inside}
            for query, judged in whole.qrels(split).items()
            if query in own and judged.keys() & inside
        }
        assert collection.qrels(split) == kept
        assert list(collection.queries(split)) == [query for query in whole.queries(split) if query.id in kept]
        lists = {query: [id for id in ids if id in inside] for query, ids in whole.negatives(split) if query in kept}
        assert dict(collection.negatives(split)) == {query: ids for query, ids in lists.items() if ids}


def test_halves_of_the_package_are_of_like_size_and_named_after_their_largest_domain() -> None:
    halves = [open_collection(f"insuranceqa-{half}") for half in HALVES]
    assert [len(list(half.passages())) for half in halves] == [13_702, 13_711]
    questions = [len(list(half.queries("test"))) for half in halves]
    assert questions == [844, 1_155], "one question of 2,000 has its only answer in the other half"
    package = insuranceqa.package_folder()
    assert insuranceqa.half_domains("life", package) == LIFE
    assert halves[0].description.endswith(f"of whole domains: {', '.join(sorted(LIFE))}.")
    sizes = Counter(insuranceqa._domains(package).values())
    for half in HALVES:
        assert max(insuranceqa.half_domains(half, package), key=lambda domain: sizes[domain]) == f"{half}-insurance"


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 60), min_size=2))
def test_domains_are_dealt_out_as_evenly_as_can_be_whatever_their_order(sizes: dict[str, int]) -> None:
    first, second = dealt_out(sizes)
    assert first and second and first | second == set(sizes) and not first & second
    assert max(sizes.values()) == max(sizes[domain] for domain in first)
    sums = [
        sum(size for size, side in zip(sizes.values(), way, strict=True) if side)
        for way in product((0, 1), repeat=len(sizes))
    ]
    best = min(abs(sum(sizes.values()) - 2 * one) for one in sums)
    assert abs(sum(sizes[domain] for domain in first) - sum(sizes[domain] for domain in second)) == best
    assert dealt_out(dict(reversed(sizes.items()))) == (first, second)


def test_of_equally_even_ways_the_first_by_name_is_taken_and_one_domain_has_no_halves() -> None:
    assert dealt_out({"a": 1, "b": 1, "big": 3, "c": 1, "d": 2}) == ({"big", "a"}, {"b", "c", "d"})
    with pytest.raises(ValueError, match="two domains, not 1"):
        dealt_out({"a": 1})


def test_registered_with_ir_datasets_once() -> None:
    open_collection("insuranceqa")
    open_collection("insuranceqa")
    dataset = ir_datasets.load("insuranceqa/test")
    assert dataset.has_docs() and dataset.has_queries() and dataset.has_qrels() and dataset.has_scoreddocs()
    first = next(iter(dataset.queries))
    assert first == ("0", "What Happens When Term Life Insurance Is Paid Up?", "life-insurance")
    assert first.domain == "life-insurance"
    assert ir_datasets.docs_parent_id("insuranceqa/test") == "insuranceqa"
    store = ir_datasets.load("insuranceqa").docs_store()
    assert store.get("3").text.startswith("If you are applying for Medicaid")
    assert list(store.get_many(["2", "none"])) == ["2"]


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install insuranceqa-data==1.2"):
        insuranceqa.package_folder()


ROW = {"en": "What  is it?", "domain": "life", "answers": ["1"], "negatives": ["2"]}


def changed_row(**fields: Any) -> bytes:
    """A file of one question, some of whose fields are other ones."""
    return gzip.compress(json.dumps({"0": ROW | fields}).encode())


def written(folder: Path, **changed: bytes) -> Path:
    """The package's four files in small; `changed` replaces the compressed content of some."""
    parts: dict[str, Any] = {"answers": {"10": {"en": "ten"}, "2": {"en": " a  b "}, "1": {"en": "x"}}}
    parts |= {split: {"0": ROW} for split in SPLITS}
    for name, rows in parts.items():
        data = changed.get(name, gzip.compress(json.dumps(rows).encode()))
        (folder / f"{name}.json.gz").write_bytes(data)
    return folder


def test_reads_files_elsewhere(tmp_path: Path) -> None:
    collection = insuranceqa.collection("insuranceqa", str(written(tmp_path)))
    assert list(collection.passages()) == [("1", "", "x"), ("2", "", "a b"), ("10", "", "ten")]
    assert list(collection.queries("valid")) == [("0", "What is it?")]
    assert collection.qrels("valid") == {"0": {"1": 1}}
    assert list(collection.negatives("valid")) == [("0", ["2"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(json.dumps({"0": ROW}).encode())[:-9], "train.json.gz is truncated or no gzip file"),
        (b"plain text", "train.json.gz is truncated or no gzip file"),
        (gzip.compress(b'{"0": "\xff"}'), "train.json.gz is not UTF-8"),
        (gzip.compress(b'{"0": '), "train.json.gz cannot be read"),
        (gzip.compress(b"[]"), "train.json.gz does not hold an object"),
        (gzip.compress(b'{"7": {"en": "x"}}'), "train.json.gz: row '7' lacks one of"),
        (gzip.compress(b'{"7": {}, "8": {}, "7": {}}'), 'train.json.gz: the id or field "7" comes twice'),
        (gzip.compress(b'{"7": {"en": "x", "en": "y"}}'), 'train.json.gz: the id or field "en" comes twice'),
        (changed_row(en=None), "row '0' has the en null, not a text"),
        (changed_row(domain=["life"]), "row '0' has the domain \\[\"life\"\\], not a text"),
        (changed_row(answers=None), "row '0' has the answers null, not a list"),
        (changed_row(answers="12"), "row '0' has the answers \"12\", not a list"),
        (changed_row(answers=[1]), "row '0' has 1 among its answers, which is no passage id"),
        (changed_row(negatives=["a"]), "row '0' has \"a\" among its negatives, which is no passage id"),
        (changed_row(negatives=["2", None]), "row '0' has null among its negatives"),
        (changed_row(negatives=["99999999999"]), "row '0' has \"99999999999\" among its negatives"),
    ],
)
def test_damaged_file(tmp_path: Path, content: bytes, message: str) -> None:
    collection = insuranceqa.collection("insuranceqa", str(written(tmp_path, train=content)))
    with pytest.raises(UserError, match=f"{message}.*reinstall it: pip install") as caught:
        validate(collection)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"1": {"en": None}}, "row '1' has the en null, not a text"),
        ({"1": "text"}, "row '1' lacks one of en"),
        ({"one": {"en": "text"}}, 'the id "one" is no number'),
    ],
)
def test_passages_of_the_wrong_kind(tmp_path: Path, answers: dict[str, Any], message: str) -> None:
    content = gzip.compress(json.dumps(answers).encode())
    with pytest.raises(UserError, match=rf"answers\.json\.gz: {message}; reinstall it"):
        validate(insuranceqa.collection("insuranceqa", str(written(tmp_path, answers=content))))


def test_a_negative_that_no_passage_has(tmp_path: Path) -> None:
    rows = {"0": ROW, "5": ROW | {"negatives": []}, "6": ROW | {"negatives": ["10", "3", "2"]}}
    content = gzip.compress(json.dumps(rows).encode())
    with pytest.raises(UserError, match='insuranceqa/valid: a negative of query "6" names the unknown passage "3"'):
        validate(insuranceqa.collection("insuranceqa", str(written(tmp_path, valid=content))))


def test_every_negative_is_named_once(tmp_path: Path) -> None:
    rows = {"0": ROW, "5": ROW | {"negatives": []}, "6": ROW | {"negatives": ["10", "1", "2"]}}
    content = gzip.compress(json.dumps(rows).encode())
    collection = insuranceqa.collection("insuranceqa", str(written(tmp_path, valid=content)))
    assert list(collection.distinct_negatives("valid")) == [("6", "1"), ("0", "2"), ("6", "10")]
    rows = {"0": ROW | {"negatives": []}}
    content = gzip.compress(json.dumps(rows).encode())
    (tmp_path / "other").mkdir()
    empty = insuranceqa.collection("insuranceqa", str(written(tmp_path / "other", valid=content)))
    assert list(empty.distinct_negatives("valid")) == []


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"answers\.json\.gz is missing"):
        validate(insuranceqa.collection("insuranceqa", str(tmp_path)))


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_unwritable_home(tmp_path: Path, given: str | None) -> None:
    (tmp_path / "file").write_text("")
    environment = {name: value for name, value in os.environ.items() if name != "IR_DATASETS_HOME"}
    environment |= {"HOME": str(tmp_path / "file" / "home"), "TMPDIR": str(tmp_path)}
    if given is not None:
        environment["IR_DATASETS_HOME"] = str(tmp_path / given)
    code = (
        "import os; from simlm.data.opening import open_collection;"
        "print(next(open_collection('insuranceqa').queries('valid')).id, os.environ['IR_DATASETS_HOME'])"
    )
    root = Path(insuranceqa.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    id, home = done.stdout.split()
    assert id == "0"
    assert Path(home).parent == tmp_path and (given is None or Path(home).name == given)


def test_needs_no_torch() -> None:
    code = "import sys; import simlm.data.opening; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(insuranceqa.__file__).parents[2], check=True)
