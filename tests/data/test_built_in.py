"""The paper's own collections by name: MS MARCO from the Hub, without titles, and NQ, each on files in miniature."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simlm.data.catalogue import NQ, SIMLM_ARCHIVE
from simlm.data.checks import validate
from simlm.data.collection import set_aside
from simlm.data.lookup import resolve
from simlm.data.opening import open_collection
from simlm.data.released_archive import ARCHIVE
from simlm.errors import UserError
from tests.data.irds_home import PASSAGES, dpr, msmarco
from tests.data.released import TRAINED, packed, trec_dl
from tests.repro.commands import ROOT

SHOWN = """
import json, sys
from simlm.data.opening import open_collection
from simlm.data.checks import validate
from simlm.data.lookup import resolve
found = resolve(sys.argv[1])
one = open_collection(found.collection, found.location, found.digest)
validate(one)
print(json.dumps({
    "splits": one.splits,
    "passages": list(one.passages()),
    "titles": one.has_titles,
    "queries": {split: list(one.queries(split)) for split in one.splits},
    "qrels": {split: one.qrels(split) for split in one.splits},
    "negatives": {split: dict(one.negatives(split)) for split in one.splits if one.dataset(split).has_scoreddocs()},
    "answers": {split: list(answers()) for split, answers in one.answers.items()},
    "registered": one.registered,
}))
"""
"""Opens a collection in a process that has a home of ir_datasets' own."""


def shown(home: Path, name: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"IR_DATASETS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SHOWN, name]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


def test_ms_marco_is_the_archive_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def download(repository: str, name: str, **rest: Any) -> str:
        asked.append((repository, name, rest))
        return str(packed(tmp_path, **trec_dl()) / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    collection = open_collection("msmarco")
    validate(collection)
    (one,) = asked
    assert one == (
        "intfloat/simlm-msmarco",
        f"{ARCHIVE}.zip",
        {"repo_type": "dataset", "revision": SIMLM_ARCHIVE.revision},
    )
    assert (collection.name, collection.has_titles) == ("msmarco", True)
    assert collection.splits == ("train", "valid", "test", *resolve("msmarco").extra_test_splits)
    assert resolve("msmarco").has_negatives and dict(collection.negatives("train"))["1000"] == ["3", "1", "2"]
    assert collection.registered["test"] == "simlm-msmarco/test"


@pytest.mark.parametrize("error", [OSError("no route\nto host"), ConnectionError("offline")])
def test_without_a_network_one_line_says_so(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(
        UserError, match="^msmarco: .* is not to be had from the Hub's data set .*check the network"
    ) as at:
        open_collection("msmarco")
    assert "\n" not in str(at.value)


def test_an_archive_without_trec_dl_is_not_what_was_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(packed(tmp_path) / f"{ARCHIVE}.zip"))
    with pytest.raises(UserError, match="has no queries of trec-dl-2019"):
        open_collection("msmarco")


def test_without_titles_it_is_ir_datasets_with_the_same_valid_queries(tmp_path: Path) -> None:
    msmarco(tmp_path)
    ran = shown(tmp_path, "msmarco-titleless")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["splits"] == ["train", "valid", "test", "trec-dl-2019", "trec-dl-2020"]
    assert found["passages"][3] == ["3", "", "text 3 naïve"] and len(found["passages"]) == PASSAGES
    assert not found["titles"] and not found["negatives"] and not found["answers"]
    ids = {split: [id for id, _ in rows] for split, rows in found["queries"].items()}
    judged = [str(1000 + n) for n in range(TRAINED)]
    assert ids["train"] == [one for one in judged if not set_aside(one)]
    assert ids["valid"] == [one for one in judged if set_aside(one)] and 0 < len(ids["valid"]) < 15
    assert found["qrels"]["valid"].keys() == set(ids["valid"]) and found["qrels"]["train"].keys() == set(ids["train"])
    assert ids["test"] == [str(n) for n in range(5)] and ids["trec-dl-2019"] == ["19", "21"]
    assert ids["trec-dl-2020"] == ["30"]
    assert found["qrels"]["trec-dl-2019"]["21"] == {"21": 0, "22": 1, "23": 2, "24": 3}
    assert found["registered"]["trec-dl-2020"] == "msmarco-passage/trec-dl-2020/judged"


def test_natural_questions(tmp_path: Path) -> None:
    dpr(tmp_path)
    questions = tmp_path / "nq-test.qa.csv"
    questions.write_text("who is it\t['Me', 'you']\nwhere\t[\"here\"]\n", encoding="utf-8")
    ran = shown(tmp_path, f"nq:{questions}")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["splits"] == ["train", "valid", "test"] and found["titles"]
    assert found["passages"][0] == ["1", "Title 1", 'Text 1, a "quoted" word'], "without csv's quotation marks"
    assert found["passages"][1] == ["2", '"Title" two', 'plain "word" in it'] and len(found["passages"]) == PASSAGES
    assert [len(found["queries"][split]) for split in found["splits"]] == [6, 3, 2]
    assert found["qrels"]["train"]["0"] == {"1": 2, "2": 1} and found["qrels"]["test"] == {}
    assert found["negatives"]["train"]["0"] == ["10", "11"] and found["negatives"]["valid"]["2"] == ["12", "13"]
    assert found["answers"]["test"] == [["0", ["Me", "you"]], ["1", ["here"]]]
    assert found["answers"]["train"] == [[str(n), [f"answer {n}", f"text {n + 5}"]] for n in range(6)]
    assert found["answers"]["valid"] == [[str(n), [f"answer {n}", f"text {n + 5}"]] for n in range(3)]


def test_a_damaged_file_of_ir_datasets_is_one_line(tmp_path: Path) -> None:
    dpr(tmp_path)
    path = tmp_path / "dpr-w100" / "docs.tsv.gz"
    path.write_bytes(path.read_bytes()[:-30])
    questions = tmp_path / "nq.tsv"
    questions.write_text("who\t['Me']\n", encoding="utf-8")
    ran = shown(tmp_path, f"nq:{questions}")
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("simlm.errors.UserError: nq: ir_datasets cannot fetch or read its files"), last


def test_what_is_on_disk_is_told_without_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path))
    assert NQ.download is not None and NQ.download.on_disk() == {} and not list(tmp_path.iterdir())
    dpr(tmp_path)
    assert {path.name for path in NQ.download.on_disk()} == {"docs.tsv.gz", "nq-train.json.gz", "nq-dev.json.gz"}
    assert all(size == path.stat().st_size > 0 for path, size in NQ.download.on_disk().items())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    assert SIMLM_ARCHIVE.on_disk() == {}
    half = tmp_path / "hub" / "datasets--intfloat--simlm-msmarco" / "blobs" / "abc.incomplete"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"123")
    assert SIMLM_ARCHIVE.on_disk() == {half: 3}
    whole = packed(tmp_path) / f"{ARCHIVE}.zip"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(whole))
    assert SIMLM_ARCHIVE.on_disk() == {whole: whole.stat().st_size}
