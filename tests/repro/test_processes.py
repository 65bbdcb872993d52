"""The whole pipeline in two processes: what one process learns, finds and scores.

Sums in another order change the last digits, and dropout, which only the re-ranker has at this scale, draws from other
random states. All else is the same: data, batches, masks.
"""

import json
from pathlib import Path

import pytest

from tests.repro.commands import Results, assert_same_run, table2

pytestmark = pytest.mark.slow

SHARED = ("generator (MLM)", "SimLM pre-training", "Retriever1 (simlm)", "Retriever2", "re-ranker")
RUNS = ("Retriever1 (simlm): runs", "Retriever2: runs")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """SimLM's row from an empty folder, each stage by two processes."""
    folder = tmp_path_factory.mktemp("two") / "results"
    ran = table2("--results", str(folder), "--rows", "simlm", "--device", "cpu", "--processes", "2")
    assert ran.returncode == 0, ran.stderr
    return Results(folder)


def losses(results: Results, name: str) -> list[float]:
    """What a training's losses were, the losses' parts and gradients' norms left out."""
    log = json.loads((results.job(name) / "output" / "losses.json").read_text())
    return [entry["loss"] for entry in log if "loss" in entry]


def test_the_stages_are_those_of_one_process(smoke: Results, two: Results) -> None:
    for stage in two.report["stages"]:
        assert two.job(stage["name"]).name == smoke.job(stage["name"]).name


@pytest.mark.parametrize("name", [name for name in SHARED if name != "re-ranker"])
def test_training_has_the_losses_of_one_process(name: str, smoke: Results, two: Results) -> None:
    assert losses(two, name) == pytest.approx(losses(smoke, name), rel=1e-4)


def test_dropout_alone_sets_the_re_ranker_apart(smoke: Results, two: Results) -> None:
    assert losses(two, "re-ranker") == pytest.approx(losses(smoke, "re-ranker"), rel=0.1)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_runs_are_those_of_one_process(name: str, split: str, smoke: Results, two: Results) -> None:
    assert_same_run(smoke.job(name), two.job(name), split)


def test_figures_are_those_of_one_process(smoke: Results, two: Results) -> None:
    (row,) = [row["measured"] for row in two.report["rows"] if row["measured"] is not None]
    (expected,) = [row["measured"] for row in smoke.report["rows"] if row["key"] == "simlm"]
    for name, estimate in row.items():
        # 32 queries: a relevant passage that dropout lets a query find, or lose, is worth a thirty-second.
        assert estimate["mean"] == pytest.approx(expected[name]["mean"], abs=0.05), name


def test_nothing_is_left_of_the_workers(two: Results) -> None:
    assert not list(two.folder.glob("jobs/*/*/work"))
    assert Path(two.job("teacher scores") / "output" / "scores" / "score.npy").is_file()
