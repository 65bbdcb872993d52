"""Figure 3: its points are encoders of two runs that Tables 2 and 7 have too, and the command runs in small."""

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from transformers import PreTrainedTokenizerFast

from repro.figure3 import curves, figure3
from repro.pipeline_runs import PipelineRuns
from repro.table7 import table7
from simlm.files import write_sealed
from simlm.models.load import load_masked_lm
from simlm.scales import NAMES, open_scale
from simlm.stages.models import SHARES, Snapshot, step_at
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import Retrieve
from simlm.stages.work.pretraining import SNAPSHOTS
from simlm.workflow.manifest import MANIFEST, read_manifest
from simlm.workflow.plan import plan
from tests.repro.commands import Results, finished, start
from tests.repro.planning import planned
from tests.repro.small_tables import ROWS


def test_both_runs_and_their_ends_are_table_7s(tmp_path: Path) -> None:
    ours, theirs = planned(figure3(), tmp_path), planned(table7(), tmp_path)
    own = {name for name in ours if name not in theirs}
    points = {f"{start}-{share}" for start in ("simlm", "mlm") for share in ("1of8", "3of8", "3of4")}
    kinds = ("{} snapshot", "Retriever1 ({})", "Retriever1 ({}): runs")
    assert own == {kind.format(point) for point in points for kind in kinds}
    assert all(ours[name].job == theirs[name].job for name in ours if name not in own)
    for key, name in (("simlm", "SimLM pre-training"), ("mlm", "mlm pre-training")):
        for share in ("1of8", "3of8", "3of4"):
            assert ours[f"{key}-{share} snapshot"].inputs["start"] is ours[name]
    assert len({stage.job for stage in ours.values()}) == len(ours)


@pytest.mark.usefixtures("minilm")
@pytest.mark.parametrize("scale", NAMES)
def test_points_lie_at_the_updates_of_their_encoders(scale: str, tmp_path: Path) -> None:
    """The step of each snapshot's configuration, and the whole run's length."""
    drawn = curves(open_scale(scale))
    steps, scale_steps = {"base": 0}, open_scale(scale).pretraining.optimisation.steps

    def build(submit: Any) -> None:
        cells = PipelineRuns(open_scale(scale), 0, submit)
        for row in figure3().rows[1:]:
            run = row.run(cells)
            assert isinstance(run, Retrieve) and isinstance(run.retriever, TrainRetriever)
            start = run.retriever.start
            steps[row.key] = start.step if isinstance(start, Snapshot) else scale_steps

    plan(build, tmp_path)
    assert {key: x for line in drawn.lines for x, key in line.points} == steps
    for line in drawn.lines:
        xs = [x for x, _ in line.points]
        assert xs == sorted(set(xs)) and line.points[0] == (0, "base")


def test_shares_are_the_papers_steps() -> None:
    assert [step_at(share, 80_000) for share in SHARES] == [10_000, 30_000, 60_000]
    assert [step_at(share, 6) for share in SHARES] == [1, 3, 5]
    assert step_at(Fraction(1), 7) == 7 and step_at(SHARES[0], 1) == 1


def test_the_paper_prints_no_figures_and_orders_are_of_rows() -> None:
    table = figure3()
    keys = {row.key for row in table.rows}
    assert not table.columns and not table.paper_only and all(row.published is None for row in table.rows)
    assert len(table.orders) == 5 and all({order.lower, order.higher} <= keys for order in table.orders)


def test_the_page_has_its_points_and_curves(tables: Results, smoke: Results) -> None:
    page, twin = tables.page("figure3"), tables.twin("figure3")
    assert [row["key"] for row in twin["rows"] if row["measured"]] == list(ROWS["figure3"])
    assert twin["rows"][2]["measured"] == smoke.measured()["simlm-1"]
    assert twin["columns"] == [] and (page.parent / "figure3-curves.svg").is_file()
    text = page.read_text(encoding="utf-8")
    assert "figure3-curves.svg" in text and "prints none of them" in text and "paper," not in text


def test_a_snapshot_is_the_encoder_on_the_way(tables: Results, smoke: Results) -> None:
    (job,) = tables.folder.glob("jobs/*snapshot/*")
    weights = safetensors.torch.load_file(smoke.job("SimLM pre-training") / "output" / SNAPSHOTS / "1.safetensors")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(job / "output" / "model")
    model = load_masked_lm(job / "output" / "model", tokenizer).state_dict()
    assert weights.keys() <= model.keys() and all(weights[name].equal(model[name]) for name in weights)
    assert "after 1 of 8 updates" in (job / "output" / "model" / "README.md").read_text(encoding="utf-8")


def test_a_pre_training_of_an_older_version_is_named(smoke: Results, tmp_path: Path) -> None:
    """It is valid in itself: its manifest lists no snapshots."""
    copy = smoke.copy(tmp_path / "results")
    pretraining = copy.folder / smoke.job("SimLM pre-training").relative_to(smoke.folder)
    shutil.rmtree(pretraining / "output" / SNAPSHOTS)
    manifest = read_manifest(pretraining) or {}
    manifest["outputs"] = {name: one for name, one in manifest["outputs"].items() if not name.startswith(SNAPSHOTS)}
    write_sealed(pretraining / MANIFEST, manifest)
    ran = finished(start("--results", str(copy.folder), "--rows", "simlm-1of8", table="figure3"))
    assert ran.returncode == 2
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("error:")]
    assert pretraining.name in line and "delete that folder" in line and "Traceback" not in ran.stderr
    assert not (copy.folder / "smoke").exists()
