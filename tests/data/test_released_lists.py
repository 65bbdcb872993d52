"""Training lists, teacher scores and runs of the released archives."""

import json
from pathlib import Path
from typing import Any

import pytest

from simlm.data.readers import members
from simlm.data.released_archive import ARCHIVE
from simlm.data.released_lists import read_msmarco_run, read_training
from simlm.errors import UserError
from tests.data.released import packed

LINE: dict[str, Any] = {
    "query_id": "7",
    "query": "what",
    "positives": {"doc_id": ["3"], "score": [-1.0]},
    "negatives": {"doc_id": ["5", "4"], "score": [2, 1.5]},
}


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_teacher_scores_and_training_lists_have_one_format(tmp_path: Path) -> None:
    (line,) = read_training(written(tmp_path / "kd_train.jsonl", json.dumps(LINE) + "\n"))
    assert line == (1, "7", "what", (["3"], [-1.0]), (["5", "4"], [2.0, 1.5]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query_id": ""}, '"query_id" is empty'),
        ({"query": None}, '"query" is no string'),
        ({"positives": None}, '"positives" is no object of the lists'),
        ({"negatives": {"doc_id": [5], "score": [1.0]}}, '"negatives" is no object of the lists "doc_id", of strings'),
        ({"negatives": {"doc_id": ["5"], "score": [1.0, 2.0]}}, '"negatives" has 1 ids and 2 scores'),
        ({"negatives": {"doc_id": ["5"], "score": ["high"]}}, "\"negatives\" has the score 'high', no finite number"),
        ({"negatives": {"doc_id": ["5"], "score": [float("nan")]}}, "\"negatives\" has the score 'nan'"),
        ({"negatives": {"doc_id": ["5"], "score": [None]}}, "\"negatives\" has the score 'None'"),
    ],
)
def test_damaged_training_lines(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "kd_dev.jsonl", json.dumps(LINE) + "\n" + json.dumps(LINE | change) + "\n")
    with pytest.raises(UserError) as caught:
        list(read_training(path))
    assert str(caught.value).startswith(f"{path}:2: {said}")


def test_runs_with_and_without_scores_also_in_the_archive(tmp_path: Path) -> None:
    path = written(tmp_path / "dev.msmarco.txt", "0\t5\t1\n0\t6\t2\n1\t5\t1\t9.5\n")
    assert list(read_msmarco_run(path)) == [("0", (["5", "6"], [1.0, 0.5])), ("1", (["5"], [9.5]))]
    inside = members(packed(tmp_path) / f"{ARCHIVE}.zip", ["train.msmarco.txt"])
    assert list(read_msmarco_run(inside["train.msmarco.txt"])) == [("1000", (["5"], [9.5]))]
    assert list(read_msmarco_run(written(tmp_path / "empty.txt", ""))) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 6 2", "1 columns where query id, passage id, rank"),
        ("0\tQ0\t6\t2\t1.0", "5 columns where"),
        ("0\t6\ttwo", "'two' are no rank from 1 and finite score"),
        ("0\t6\t0", "'0' are no rank from 1"),
        ("0\t6\t2\tinf", "'2 inf' are no rank from 1 and finite score"),
        ("0\t6\t3\t1.0", "rank 3 where 2 has to be; a line is missing"),
        ("0\t5\t2\t1.0", "passage '5' comes twice for query '0'"),
        ("1\t5\t1\n0\t6\t1", "query '0' comes again after another one"),
    ],
)
def test_damaged_runs(line: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "dev.msmarco.txt", f"0\t5\t1\t2.0\n{line}\n")
    with pytest.raises(UserError) as caught:
        list(read_msmarco_run(path))
    number = 2 + line.count("\n")
    assert str(caught.value).startswith(f"{path}:{number}: {said}")
