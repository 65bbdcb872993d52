"""`--rehearse`: paper scale goes its own way through every table, on miniatures of its data and models."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from ablations.__main__ import Options as GridOptions
from ablations.__main__ import check as check_grid
from repro.claims import ClaimOptions
from repro.command import Options, check
from repro.pipeline_runs import PipelineRuns
from repro.trials import trial_stages
from simlm.commands.rehearsal import NOTHING, VECTORS
from simlm.costs import sizes
from simlm.costs.sizes import note_whole, sizes_of
from simlm.data.catalogue import MSMARCO
from simlm.errors import UserError
from simlm.files import write_sealed
from simlm.scales import open_scale
from simlm.scales.rehearsal import FOLDER, rehearsed
from simlm.stages.data import WHOLE, Prepare
from simlm.workflow.plan import job_of, plan
from tests.baselines.repositories import papers_models, prebuilt, repositories
from tests.data import irds_home, released
from tests.repro.commands import PATIENCE, ROOT

PASSAGES = 400


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the Hub's with paper scale's models."""
    return papers_models(tmp_path_factory.mktemp("models") / "hub")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that was released with SimLM, TREC DL 2019 and 2020 in it."""
    passages = released.passages(PASSAGES)
    return released.packed(tmp_path_factory.mktemp("data"), passages__jsonl__gz=passages, **released.trec_dl())


@pytest.fixture(scope="module")
def rehearse(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns what a command prints that is rehearsed at paper scale; all of them share one results folder."""
    folder = tmp_path_factory.mktemp("rehearsed") / "results"
    home = folder.parent / "home"
    irds_home.dpr(home)

    def run(module: str, *arguments: str, scale: str = "paper") -> str:
        command = [sys.executable, "-m", module, "--scale", scale, "--rehearse", "--results", str(folder), *arguments]
        environment = {"COLUMNS": "200", "HF_HUB_CACHE": str(models), "IR_DATASETS_HOME": str(home)}
        ran = subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert [one.name for one in folder.iterdir()] == ["rehearsal"], "nothing lies beside it"
        return ran.stdout

    return run


def test_table_2_goes_papers_own_way(rehearse: Callable[..., str], archive: Path) -> None:
    printed = rehearse("repro.table2", "--collection", str(archive))
    lines = {name.strip(): times for name, times in re.findall(r"^ (\S.*?)  +(\d+ s .*)$", printed, re.MULTILINE)}
    for name in ("collection", "BM25", "SimLM pre-training", "Retriever2", "re-ranker", "teacher scores", "fusion"):
        assert name in lines
    (judged,) = re.findall(r"s +[\d.]+ [MG]B +([\d,]+) (?:h|min)", lines["SimLM pre-training"])
    assert int(judged.replace(",", "")) > 10, "80,000 updates take more than a few"
    assert f"{VECTORS}, {PASSAGES} of 16 dimensions" in printed
    assert NOTHING in printed
    assert "report: " in printed.splitlines()[-1] and "measured beside published" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("table", [*(f"table{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9, 12)), "figure3"])
def test_every_other_table_does(table: str, rehearse: Callable[..., str], archive: Path) -> None:
    assert NOTHING in rehearse(f"repro.{table}", "--collection", str(archive))


@pytest.mark.slow
def test_the_grid_does(rehearse: Callable[..., str], archive: Path) -> None:
    grids = ("objectives", "replace_rates", "generators", "plms", "steps")
    assert NOTHING in rehearse("ablations", "--collection", str(archive), "--seeds", "2", "--grids", *grids)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["table2", "table3"])
def test_published_checkpoints_do(table: str, rehearse: Callable[..., str], archive: Path, tmp_path: Path) -> None:
    folder = repositories(tmp_path / "models")
    prebuilt(folder / "msmarco-v1-passage", ((str(number), f"text {number}") for number in range(PASSAGES + 50)))
    printed = rehearse(f"repro.{table}", "--released", "--models", str(folder), "--collection", str(archive))
    assert VECTORS in printed


@pytest.mark.slow
def test_natural_questions_do(rehearse: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "nq-test.qa.csv"
    file.write_text("text 3\t['text 9', 'text 3']\ntext 7\t['nowhere']\n", encoding="utf-8")
    assert "answers of train and valid" in rehearse("repro.table4", "--collection", f"nq:{file}")


@pytest.mark.slow
def test_two_processes_a_stage_do(rehearse: Callable[..., str], archive: Path) -> None:
    words = ("--rows", "bm25", "simlm-1", "--processes", "2", "--collection", str(archive))
    assert NOTHING in rehearse("repro.table2", *words)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["tuning", "longer", "claims", "all", "table10"])
def test_smaller_scales_have_it_too(command: str, rehearse: Callable[..., str]) -> None:
    assert NOTHING in rehearse(f"repro.{command}", scale="smoke")


def test_nothing_of_it_is_published_and_its_results_lie_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^--publish: nothing of a rehearsal is published"):
        check(Options(publish=True, rehearse=True, results=tmp_path))
    for results in (tmp_path, tmp_path / "rehearsal"):
        for kind in (Options, GridOptions, ClaimOptions):
            assert kind(rehearse=True, results=results).folder == results / "rehearsal"
            assert kind(results=results).folder == results
        options = Options(rehearse=True, results=results)
        assert options.whole() == Options(results=results) == Options(results=results).whole()
    with pytest.raises(UserError, match="^--join: a rehearsal tries all stages itself"):
        check_grid(GridOptions(rehearse=True, join=(tmp_path,)))


def test_trials_of_updates_are_as_short_and_stand_beside_the_whole_ones(tmp_path: Path) -> None:
    def asked(options: Options) -> tuple[list[str], int]:
        names: list[str] = []

        def build(submit: Any) -> None:
            trial_stages(options, lambda stage, name: (submit(stage, name), names.append(name)))

        configs: list[Any] = [stage.config for stage in plan(build, options.folder)[0]]
        return names, max(one.settings.optimisation.steps for one in configs if hasattr(one, "settings"))

    options = Options(rehearse=True, results=tmp_path)
    (names, most), (whole, most_of_whole) = asked(options), asked(options.whole())
    assert names == whole != [] and most == 8 < most_of_whole


def prepared(results: Path, part: bool = False) -> Prepare:
    """The stage that prepares paper scale's collection, or the part of it that a rehearsal has."""
    scale, folder = open_scale("paper"), results
    if part:
        scale, folder = rehearsed(scale), results / FOLDER
    return plan(lambda submit: PipelineRuns(scale, 0, submit).pipeline.data, folder)[1]


def test_a_part_has_an_identity_of_its_own_and_sizes(tmp_path: Path) -> None:
    whole, part = prepared(tmp_path), prepared(tmp_path, part=True)
    assert whole.__xpm__.identifier != part.__xpm__.identifier
    assert sizes_of(part).passages < 30_000 < sizes_of(whole).passages
    assert sizes_of(part).queries["train"] == 300 and sizes_of(part).queries["trec-dl-2019"] == 43


def test_what_a_part_counted_of_the_whole_is_known_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, part = prepared(tmp_path), prepared(tmp_path, part=True)
    monkeypatch.setattr(sizes, "_counted", lambda job: sizes.stated(MSMARCO))
    note_whole(whole, part)  # which has not run: nothing is kept
    known = sizes_of(whole)
    job_of(part).mkdir(parents=True)
    counted: dict[str, Any] = {"passages": 7, "queries": {"train": 5}}
    write_sealed(job_of(part) / "manifest.json", {"outputs": {}, "inputs": {}, "numbers": {WHOLE: counted}})
    note_whole(whole, part)
    assert sizes_of(whole).passages == 7 and sizes_of(whole).queries == {"train": 5}
    rmtree(job_of(part))
    assert sizes_of(whole).passages == known.passages
