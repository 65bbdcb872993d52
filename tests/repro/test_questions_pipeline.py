"""Natural Questions' own training, all its stages, on the replica of DPR's files: what is trained on, pair by pair."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.teacher import TeacherScores
from simlm.workflow.manifest import read_manifest
from tests.data.irds_home import PASSAGES, dpr
from tests.repro.commands import PATIENCE, ROOT
from tests.repro.questions import DEPTH, scale

pytestmark = pytest.mark.slow

Jobs = dict[str, Path]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test questions; passage n has the text that holds "text n"."""
    path = tmp_path_factory.mktemp("questions") / "nq-test.qa.csv"
    path.write_text("text 3\t['text 9', 'text 3']\ntext 7\t['nowhere']\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def jobs(questions: Path) -> Jobs:
    """The folders of the stages by name."""
    home = questions.parent / "home"
    dpr(home)
    command = [sys.executable, "-m", "tests.repro.questions", str(questions.parent / "results"), str(questions)]
    environment = os.environ | {"IR_DATASETS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    return {name: Path(job) for name, job in json.loads(ran.stdout.splitlines()[-1]).items()}


def obvious(job: Path, split: str, count: int) -> dict[int, tuple[list[int], list[int]]]:
    """A run's set, question by question; question n's answer is in passage n + 5, its label on passage n + 1."""
    indices, scores = (np.load(job / "output" / f"{split}.{part}.npy") for part in ("indices", "scores"))
    found = {}
    for n in range(count):
        places = [(int(p), float(s)) for p, s in zip(indices[n, :DEPTH], scores[n, :DEPTH], strict=True) if p >= 0]
        answer, label = n + 4, n  # indices are from 0
        negatives = [p for p, _ in places if p not in (answer, label)]
        best = max((s for p, s in places if p in negatives), default=0.0)
        if negatives:
            found[n] = [label, *(p for p, s in places if p == answer and s > best)], negatives
    return found


def read(job: Path, split: str) -> list[tuple[int, list[int], list[int]]]:
    lists = NegativeLists.open(job / "output" / split)
    return [
        (int(query), lists.positives_of(j).tolist(), [one for one in lists.negatives[j].tolist() if one >= 0])
        for j, query in enumerate(lists.queries)
    ]


def shuffled(sets: list[dict[int, tuple[list[int], list[int]]]]) -> list[tuple[int, list[int], list[int]]]:
    """The sets behind each other, question by question, each list in an order of its own."""
    return [
        (query, one[query][0], np.random.default_rng([5678, query]).permutation(one[query][1]).tolist())
        for query in range(6)
        for one in sets
        if query in one
    ]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("first training set", ["BM25"]),
        ("Retriever1: training set", ["BM25", "Retriever1 (simlm): runs"]),
        ("Retriever2: training set", ["BM25", "Retriever2: runs"]),
    ],
)
def test_the_sets_are_the_obvious_loops_and_lie_behind_each_other(jobs: Jobs, name: str, runs: list[str]) -> None:
    expected = shuffled([obvious(jobs[run], "train", 6) for run in runs])
    assert read(jobs[name], "train") == expected and expected
    assert read(jobs[name], "valid") == shuffled([obvious(jobs["BM25"], "valid", 3)]), "as DPR's dev file"
    assert all(0 <= passage < PASSAGES for _, *sides in expected for side in sides for passage in side)


def test_the_teacher_scores_what_the_windows_of_both_sets_draw(jobs: Jobs, questions: Path) -> None:
    lists = NegativeLists.open(jobs["Retriever2: training set"] / "output" / "train")
    settings = scale(str(questions)).distillation
    optimisation, n = settings.optimisation, settings.passages_per_query
    epochs = -(-optimisation.steps // max(1, len(lists) // optimisation.batch_size))
    pairs = {
        (int(lists.queries[j]), passage)
        for j in range(len(lists))
        for epoch in range(epochs)
        for passage in lists.group(j, epoch, optimisation.seed, n).tolist()
    }
    scores = TeacherScores.open(jobs["teacher scores"] / "output" / "scores")
    assert list(zip(scores.query.tolist(), scores.passage.tolist(), strict=True)) == sorted(pairs)


def test_every_model_trained_and_the_test_questions_are_judged_by_their_answers(jobs: Jobs) -> None:
    for name in ("Retriever1 (simlm)", "Retriever2", "re-ranker", "Retriever_distill (simlm)"):
        numbers = (read_manifest(jobs[name]) or {})["numbers"]
        assert np.isfinite(numbers["last_loss"]) and numbers["last_loss"] > 0
    found = (read_manifest(jobs["distilled: answers"]) or {})["numbers"]
    indices = np.load(jobs["Retriever_distill (simlm): runs"] / "output" / "test.indices.npy")
    assert found["test Success@20"] == (1 if set(indices[0].tolist()) & {8, 2} else 0) / 2
