"""`python -m ablations`: cells of several grids and seeds share stages, and outlive one that fails."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ablations import __main__ as grid
from ablations.grids import CORPORA, GRIDS, build_cells, cells_of
from ablations.retriever1_runs import ENCODERS
from ablations.starts import STARTS, TRIED
from repro.command import Options
from repro.pipeline_runs import PipelineRuns
from repro.table10 import table10
from simlm.scales import open_scale
from simlm.workflow.manifest import MANIFEST, read_manifest
from simlm.workflow.plan import job_of, plan
from tests.repro.commands import Results
from tests.workflow.driving import ROOT

ALL = ("objectives", "replace_rates", "generators")
"""The grids that are run whole."""
PATIENCE = 3600.0
TOY = ("--grids", "toy", "toy again", "--seeds", "2")


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_its_outcome_lies_where_a_table_of_that_precision_does(precision: str) -> None:
    assert grid._variant(grid.Options(precision=precision)) == Options(precision=precision).variant


def command(*arguments: str, module: str = "ablations", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the grid's command at smoke scale."""
    ran = subprocess.run(
        [sys.executable, "-m", module, "--scale", "smoke", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran


def toy(results: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same with two small grids more, one start of which can fail."""
    return command(*TOY, "--results", str(results), *arguments, module="tests.ablations.sometimes", **environment)


def outcome(results: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((results / "smoke" / "grid" / "grid.json").read_text())
    return content


def manifests(results: Path) -> dict[Path, int]:
    """Every finished stage, with the time at which it was finished."""
    return {path: path.stat().st_mtime_ns for path in results.glob(f"jobs/*/*/{MANIFEST}")}


def test_grids_start_from_known_starts_and_hold_the_papers() -> None:
    assert all(start in ENCODERS or start in CORPORA for grid in GRIDS.values() for start in grid)
    assert all(len(set(grid)) == len(grid) for grid in GRIDS.values())
    # What is pre-trained on a part of the collection is compared on that part (Table 10).
    parts = {name for name in STARTS if name.startswith("simlm-on-")}
    assert {start for grid in GRIDS.values() for start in grid} == set(ENCODERS) - parts - set(TRIED) | set(CORPORA)
    assert {start for _, start in CORPORA.values()} == {*parts, "base"}


def test_the_corpora_are_table_10s_runs(tmp_path: Path) -> None:
    def build(submit: Any) -> dict[str, Path]:
        cells = PipelineRuns(open_scale("smoke"), 0, submit)
        return {row.key: job_of(row.run(cells)) for row in table10().rows}

    _, expected = plan(build, tmp_path)
    grid = cells_of(["corpora"], 2)
    _, runs = plan(build_cells(grid, partial(open_scale, "smoke")), tmp_path)
    assert {cell.start: job_of(run) for cell, run in runs.items() if cell.seed == 0} == expected
    assert len({job_of(run) for run in runs.values()}) == len(grid) == 2 * len(expected)


@pytest.fixture(scope="module")
def failed(smoke: Results, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """With Table 2's stages, which are half of seed 0's."""
    results = smoke.copy(tmp_path_factory.mktemp("grid") / "results").folder
    return results, toy(results, SIMLM_TOY_WRONG="1")


def test_a_failed_cell_is_listed_with_its_log_and_the_rest_goes_on_and_a_rerun_does_only_those(
    failed: tuple[Path, "subprocess.CompletedProcess[str]"], smoke: Results
) -> None:
    results, ran = failed
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == "failed: 2 of 6 cells; the same command runs only those again"
    lines = [line for line in ran.stdout.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 2
    for seed, line in enumerate(lines):
        assert line.startswith(f"failed: toy sometimes, seed {seed}: sometimes pre-training")
        assert "ValueError: the mask slipped" in line
        log = Path(line.removesuffix(")").rsplit("(see ", 1)[1])
        assert "the mask slipped" in log.read_text()
    cells = outcome(results)["cells"]
    assert [(one["start"], one["seed"]) for one in cells if one["state"] == "failed"] == [
        ("sometimes", 0),
        ("sometimes", 1),
    ]
    before = manifests(results)
    assert len(before) == len(manifests(smoke.folder)) + 4  # of seed 1: random, base, and a cell's two

    again = toy(results)
    assert again.returncode == 0, again.stderr
    after = manifests(results)
    assert len(after) == len(before) + 6 and after.items() >= before.items()
    assert all(one["state"] == "done" for one in outcome(results)["cells"])


def test_the_outcome_is_what_the_manifests_hold_and_equal_cells_are_one_stage(
    failed: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    results, _ = failed
    content = outcome(results)
    done = [one for one in content["cells"] if one["state"] == "done"]
    for one in done:
        (job,) = results.glob(f"jobs/*/{one['stage']}")
        numbers = (read_manifest(job) or {})["numbers"]
        assert one["measures"] == {name[5:]: mean for name, mean in numbers.items() if name.startswith("test ")}
        assert set(one["measures"]) >= {"RR@10", "R@50", "R@1000", "nDCG@10"}
    stages = {(one["grid"], one["start"], one["seed"]): one["stage"] for one in content["cells"]}
    for seed in (0, 1):
        assert stages["toy", "random", seed] == stages["toy again", "random", seed]
    assert stages["toy", "random", 0] != stages["toy", "random", 1]
    (row,) = [row for row in content["summary"] if (row["grid"], row["start"]) == ("toy", "random")]
    one, other = (cell["measures"]["RR@10"] for cell in done[:2])
    assert row["seeds"] == 2 and row["measures"]["RR@10"]["mean"] == pytest.approx((one + other) / 2)
    assert row["measures"]["RR@10"]["deviation"] == pytest.approx(abs(one - other) / 2**0.5)

    with (results / "smoke" / "grid" / "grid.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert [(line["grid"], line["start"], int(line["seed"]), line["stage"], line["state"]) for line in table] == [
        (one["grid"], one["start"], one["seed"], one["stage"], one["state"]) for one in content["cells"]
    ]
    for line, cell in zip(table, content["cells"], strict=True):
        shown = {name: float(line[name]) for name in ("RR@10", "nDCG@10") if line[name]}
        assert shown == {name: pytest.approx(cell["measures"][name]) for name in shown}
        assert bool(shown) == (cell["state"] == "done")


@pytest.fixture
def dry_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Returns the lines of a dry run."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(results: Path, *grids: str, **options: Any) -> list[str]:
        grid.run(grid.Options(grids, **{"scale": "smoke"} | options, results=results, dry_run=True))
        return capsys.readouterr().out.splitlines()

    return run


def test_a_dry_run_counts_what_sharing_saves_and_writes_nothing(
    dry_run: Callable[..., list[str]], tmp_path: Path
) -> None:
    lines = dry_run(tmp_path / "results", *ALL, seeds=2)
    assert not (tmp_path / "results").exists()
    # Every cell stands on 11 stages but "base", without pre-training, MLM's, without a generator, and "random".
    assert "46 cells; 430 stage runs if each cell were run alone, 135 with sharing: 295 saved" in lines
    assert "135 of 135 stages to do; 135 without an estimate" in lines
    assert any(line.split()[:3] == ["BM25", "index", "46"] for line in lines)


@pytest.mark.usefixtures("minilm")
def test_a_grid_says_which_starts_the_scale_leaves_out(dry_run: Callable[..., list[str]], tmp_path: Path) -> None:
    lines = dry_run(tmp_path / "results", "plms", "generators", scale="small")
    assert lines[0] == "the scale small leaves out electra, roberta"
    assert not [line for line in dry_run(tmp_path / "results", "plms") if "leaves out" in line]


def test_a_dry_run_estimates_from_what_was_measured(
    dry_run: Callable[..., list[str]], smoke: Results, tmp_path: Path
) -> None:
    """By the same stage with another seed, or the mean of its kind; and joins in mind only."""
    lines = [line for line in dry_run(smoke.folder, "generators", seeds=3) if "stages to do" in line]
    assert lines[-1][0].isdigit() and "min of work: at least" in lines[-1]
    joined = dry_run(tmp_path / "empty", "objectives", join=(smoke.folder,))
    assert not (tmp_path / "empty").exists()
    # Collection, index and BM25; random and informed start and generator, trained generator, SimLM; Retriever1 and its
    # runs of three starts.
    assert joined[-1] == f"{3 + 6 + 3 * 2} of the stages to do can be joined"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--grids", "objectives", "sizes"),
            "unknown grid 'sizes': choose one of objectives, replace_rates, generators",
        ),
        (("--seeds", "0"), "--seeds 0: choose 1 or more"),
        (("--scale", "huge"), "unknown scale 'huge': choose one of smoke, mini"),
        (("--join", "nowhere"), "--join "),
        (("--slurm", "speed=high"), "--slurm speed=high: write key=value with one of these keys: nodes, time, "),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], said: str, leaves: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, line = leaves(grid.main, "--scale", "smoke", "--results", str(tmp_path / "results"), *arguments)
    assert status == 2 and line.startswith(f"error: {said}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_whole_grid_with_two_seeds_and_a_cell_that_fails(tmp_path: Path) -> None:
    results, module = tmp_path / "results", "tests.ablations.sometimes"
    grids = ("--grids", *ALL, "toy", "--seeds", "2", "--results", str(results))
    failed = command(*grids, module=module, SIMLM_TOY_WRONG="1")
    assert failed.returncode == 1
    states = {(one["start"], one["seed"]): one["state"] for one in outcome(results)["cells"]}
    assert {cell for cell, state in states.items() if state != "done"} == {("sometimes", 0), ("sometimes", 1)}
    assert sum(one["grid"] != "toy" for one in outcome(results)["cells"]) == 46
    before = manifests(results)
    mended = command(*grids, module=module)
    assert mended.returncode == 0, mended.stderr
    assert all(one["state"] == "done" for one in outcome(results)["cells"])
    assert before.items() <= manifests(results).items() and len(manifests(results)) == 135 + 2 * 3
