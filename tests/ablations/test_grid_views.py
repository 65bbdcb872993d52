"""What a grid shows while it runs: without any run."""

from pathlib import Path

import pytest
from rich.console import Console

from ablations.grids import Cell, cells_of
from ablations.outcome import GridDisplay, print_outcomes, summary
from simlm.commands.seeds import with_seed, without_seed
from simlm.files import write_sealed
from simlm.workflow.manifest import MANIFEST
from simlm.workflow.plan import Planned
from simlm.workflow.scheduler import StageStatus


def planned(folder: Path, kind: str, name: str, seconds: float | None, *inputs: Planned) -> Planned:
    """A stage of a kind, finished in some seconds or new."""
    job = folder / kind / name
    if seconds is not None:
        job.mkdir(parents=True)
        write_sealed(job / MANIFEST, {"attempts": [{"seconds": seconds}]})
    by_name = {str(i): one for i, one in enumerate(inputs)}
    return Planned(name, job, by_name, reason=None if seconds is not None else "new")


def test_cells_of_a_grid_named_twice_are_there_once() -> None:
    cells = cells_of(["generators", "generators"], 2)
    assert len(cells) == len(set(cells)) == 6
    assert {cell.seed for cell in cells} == {0, 1}


def test_a_name_with_a_seed_leads_back_to_the_one_without() -> None:
    assert with_seed("base (MLM)", 0) == "base (MLM)"
    assert without_seed(with_seed("base (MLM)", 12)) == without_seed("base (MLM)") == "base (MLM)"


def test_the_live_table_has_a_row_for_each_start_and_a_column_for_each_seed(tmp_path: Path) -> None:
    cells, runs = {}, []
    for start in ("simlm", "mlm"):
        for seed in (0, 1):
            below = planned(tmp_path, "pretrained", f"{start} {seed}", None)
            run = planned(tmp_path, "retrieve", f"{start} {seed} runs", None, below)
            cells[Cell("objectives", start, seed)] = run
            runs.append((below, run))
    display = GridDisplay(cells)
    states = [("done", "done"), ("failed", "left out"), ("running", "waiting"), ("done", "running")]
    moments = [
        StageStatus(stage, state, "steps", 3, 10)
        for pair, two in zip(runs, states, strict=True)
        for stage, state in zip(pair, two, strict=True)
    ]
    console = Console(width=100, record=True)
    console.print(display.view(moments))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert lines[0] == ["grid", "start", "seed", "0", "seed", "1"]
    assert lines[1] == ["objectives", "simlm", "done", "failed"]
    assert lines[2] == ["objectives", "mlm", "0/2", "1/2"]
    assert lines[3][:2] == ["mlm", "0"] and lines[3][-2:] == ["steps", "3/10"]


def test_spread_is_over_finished_seeds_and_none_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    def cell(start: str, seed: int, value: float | None) -> dict[str, object]:
        one = {"grid": "objectives", "start": start, "seed": seed, "stage": "0123"}
        if value is None:
            return one | {"state": "failed", "failure": "mlm [pre-training] failed"}
        return one | {"state": "done", "measures": {"RR@10": value}}

    found = [cell("simlm", 0, 0.2), cell("simlm", 1, 0.4), cell("mlm", 0, 0.1), cell("mlm", 1, None)]
    rows = {row["start"]: row for row in summary(found)}
    assert rows["simlm"]["measures"]["RR@10"]["mean"] == pytest.approx(0.3)
    assert rows["simlm"]["measures"]["RR@10"]["deviation"] == pytest.approx(0.02**0.5)
    assert rows["mlm"] == {
        "grid": "objectives",
        "start": "mlm",
        "seeds": 1,
        "measures": {"RR@10": {"mean": 0.1, "deviation": None}},
    }
    print_outcomes(found)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1].split() == ["objectives", "simlm", "2", "0.300", "±", "0.141"]
    assert lines[2].split() == ["objectives", "mlm", "1", "0.100"]
    assert lines[3] == "failed: objectives mlm, seed 1: mlm [pre-training] failed"
