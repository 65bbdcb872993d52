"""Table 2's rows as stages: which they share, and what sets them apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.retriever1_runs import NEGATIVES
from repro.pipeline_runs import PipelineRuns
from repro.table2 import table2
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.scales.minilm import MINILM
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import Retrieve, RunStage
from simlm.workflow.plan import Planned, plan
from tests.minilm import install


def planned(tmp_path: Path, *keys: str, **choices: Any) -> tuple[dict[str, Planned], dict[str, RunStage]]:
    """The stages of some rows by name, and the rows' runs."""
    rows = table2().chosen(keys)

    def build(submit: Any) -> dict[str, RunStage]:
        cells = PipelineRuns(open_scale("smoke"), choices.get("seed", 0), submit, choices.get("negatives", "bm25"))
        return {row.key: row.run(cells) for row in rows}

    stages, runs = plan(build, tmp_path)
    assert len({stage.name for stage in stages}) == len(stages), "the report lists stages by name"
    return {stage.name: stage for stage in stages}, runs


def test_every_stage_is_built_once_whatever_the_rows(tmp_path: Path) -> None:
    stages, _ = planned(tmp_path)
    assert len(stages) == 26
    fewer, _ = planned(tmp_path, "simlm")
    assert {name: stage.job for name, stage in fewer.items()}.items() <= {
        name: stage.job for name, stage in stages.items()
    }.items()
    assert {"fusion", "tuned BM25", "Retriever1 (base)", "re-ranked run"} & set(fewer) == set()
    assert set(planned(tmp_path, "bm25")[0]) == {"collection", "BM25 index", "BM25"}


def test_the_two_distilled_rows_differ_in_their_start_only(tmp_path: Path) -> None:
    stages, runs = planned(tmp_path)
    simlm, base = (stages[f"Retriever_distill ({start})"].inputs for start in ("simlm", "base"))
    assert {name for name in simlm if simlm[name].job != base[name].job} == {"start"}
    assert simlm["start"].name == "SimLM pre-training" and base["start"].name == "informed start"
    settings = set()
    for key in ("simlm", "base-distilled"):
        run = runs[key]
        assert isinstance(run, Retrieve) and isinstance(run.retriever, TrainRetriever)
        settings.add(run.retriever.settings.__xpm__.identifier.all.hex())
    assert len(settings) == 1


def test_every_start_stands_on_the_same_base(tmp_path: Path) -> None:
    stages, _ = planned(tmp_path)
    assert stages["SimLM pre-training"].inputs["start"].name == "informed start"
    assert stages["informed start"].inputs["start"].name == "random init"
    assert stages["Retriever1 (random)"].inputs["start"].name == "random init"
    for start in ("random", "base", "simlm"):
        assert stages[f"Retriever1 ({start})"].inputs["negatives"].name == "BM25"
    assert stages["Retriever2"].inputs["negatives"].name == "Retriever1 (simlm): runs"
    assert stages["re-ranker"].inputs["candidates"].name == "Retriever2: runs"


def test_the_packages_negatives_are_another_source_by_name(tmp_path: Path) -> None:
    ours, _ = planned(tmp_path)
    theirs, _ = planned(tmp_path, negatives="package")
    assert theirs["Retriever1 (simlm)"].inputs["negatives"].name not in ours
    assert theirs["BM25"].job == ours["BM25"].job and theirs["SimLM pre-training"].job == ours["SimLM pre-training"].job
    assert theirs["Retriever2"].job != ours["Retriever2"].job
    same, _ = planned(tmp_path, negatives="official")
    assert same["Retriever1 (simlm)"].job == theirs["Retriever1 (simlm)"].job, "two names of one source"
    with pytest.raises(UserError, match="unknown source of negatives 'mine': choose one of " + ", ".join(NEGATIVES)):
        planned(tmp_path, "bm25", negatives="mine")


def test_a_re_ranker_starts_from_what_is_known() -> None:
    cells = PipelineRuns(replace(open_scale("smoke"), reranker_start="elmo"), 0, lambda stage, name: None)
    with pytest.raises(UserError, match="can start from 'elmo': choose one of random, base, electra, simlm"):
        cells.reranker()


def test_rows_come_in_the_tables_order_and_unknown_ones_are_named() -> None:
    table = table2()
    assert [row.key for row in table.chosen(["simlm", "bm25", "simlm"])] == ["bm25", "simlm"]
    assert table.chosen([]) == list(table.rows)
    with pytest.raises(UserError, match="unknown row 'colbert': choose from bm25, "):
        table.chosen(["simlm", "colbert"])
    keys = {row.key for row in table.rows}
    assert set(table.baselines) <= keys
    assert all({order.lower, order.higher} <= keys for order in table.orders)
    assert not keys & {key for key, *_ in table.paper_only}


def test_a_re_ranker_from_minilm_reads_its_own_pieces_wherever_the_model_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(submit: Any) -> RunStage:
        runs = PipelineRuns(replace(open_scale("smoke"), reranker_start=MINILM), 0, submit)
        runs.distilled("simlm")
        return runs.reranked()

    jobs = []
    for place in ("one", "other"):
        with monkeypatch.context() as patch:
            model = install(tmp_path / place, patch)
            stages = {stage.name: stage for stage in plan(build, tmp_path / "results")[0]}
        jobs.append({name: stage.job.name for name, stage in stages.items()})
    assert jobs[0] == jobs[1]
    names = {name: {key: one.name for key, one in stage.inputs.items()} for name, stage in stages.items()}
    pieces = "all-MiniLM-L6-v2: collection"
    assert names["all-MiniLM-L6-v2: first 3 layers"]["start"] == names[pieces]["model"] == "all-MiniLM-L6-v2"
    assert names["re-ranker"]["data"] == names["re-ranked run"]["data"] == pieces
    assert names["re-ranker"]["start"] == "all-MiniLM-L6-v2: first 3 layers"
    assert names["teacher scores"]["negatives"] == names["re-ranker"]["candidates"] == "Retriever2: runs"
    assert names["Retriever_distill (simlm)"]["data"] == "collection"
    teacher: Any = stages["teacher scores"].config
    assert teacher.reranker.tokenised is teacher.reranker.data is not None
    public: Any = stages["all-MiniLM-L6-v2"].config
    assert public.copied_from == str(model)
    own = {stage.name: stage.job.name for stage in planned(tmp_path)[0].values()}
    assert own["Retriever2: runs"] == jobs[0]["Retriever2: runs"] and own["re-ranker"] != jobs[0]["re-ranker"]
