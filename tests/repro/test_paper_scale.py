"""The paper scale planned on a replica of its data: every stage of every table, without a network or a file written."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ablations import __main__ as grid
from ablations.grids import GRIDS, build_cells, cells_of
from ablations.starts import BYTE_LEVEL, STARTS
from baselines.stages import Fusion
from repro import all as everything
from repro.claims import ClaimOptions
from repro.command import Options
from repro.origin import origin, warnings
from repro.pipeline_runs import PipelineRuns
from repro.table import check_domains
from repro.table1 import table1
from repro.table2 import table2
from repro.table4 import table4
from repro.tables import TABLES
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.stages.models import Pretrained, PublicModel, RandomGenerator, RandomModel, Reinitialised
from simlm.stages.reranker import Rerank
from simlm.stages.runs import Retrieve
from simlm.workflow.plan import plan
from tests.data import released
from tests.repro.planning import planned

ON_MS_MARCO = tuple(name for name, table in TABLES.items() if not table().by_domain)


def test_every_table_can_be_planned_and_nothing_is_made_that_is_public(tmp_path: Path) -> None:
    stages = planned([row for name in ON_MS_MARCO for row in TABLES[name]().rows], tmp_path, "paper")
    assert not [name for name, stage in stages.items() if isinstance(stage.config, RandomModel | RandomGenerator)]
    fresh = {name for name, stage in stages.items() if isinstance(stage.config, Reinitialised)}
    assert fresh == {"random init", "random generator"}
    public = {stage.config.name for stage in stages.values() if isinstance(stage.config, PublicModel)}
    assert public == {
        "bert-base-uncased",
        "google/electra-base-generator",
        "google/electra-base-discriminator",
        "roberta-base",
    }
    pretrained = [stage for stage in stages.values() if isinstance(stage.config, Pretrained)]
    assert {stage.inputs["start"].name for stage in pretrained} == {"base"}
    assert not list(tmp_path.iterdir())


def test_runs_are_made_on_trec_dl_too(tmp_path: Path) -> None:
    further = ["trec-dl-2019", "trec-dl-2020"]
    for stage in planned(table2(), tmp_path, "paper").values():
        if isinstance(stage.config, Retrieve):
            assert stage.config.splits[-4:] == ["valid", "test", *further]
        if isinstance(stage.config, Rerank | Fusion):
            assert stage.config.splits == ["test", *further]


def test_roberta_reads_its_own_pieces(tmp_path: Path) -> None:
    stages = planned(table1(), tmp_path, "paper")
    data = {
        name: stage.inputs["data"].config for name, stage in stages.items() if "runs" in name and "data" in stage.inputs
    }
    roberta: Any = data["Retriever1 (roberta): runs"]
    assert (roberta.tokenizer, roberta.vocabulary, roberta.segments) == ("roberta-base", 0, False)
    bert: Any = data["Retriever1 (base): runs"]
    assert (bert.tokenizer, bert.vocabulary, bert.segments) == ("bert-base-uncased", 0, True)


@pytest.mark.parametrize("start", list(STARTS))
def test_every_start_can_be_planned_or_says_in_one_line_why_not(start: str, tmp_path: Path) -> None:
    def build(submit: Any) -> None:
        PipelineRuns(open_scale("paper"), 0, submit).retriever1(start)

    if start.startswith("simlm-on-"):
        with pytest.raises(UserError, match="^the collection msmarco has no part 'life'|'auto'"):
            plan(build, tmp_path)
    else:
        stages, _ = plan(build, tmp_path)
        (data,) = {stage.inputs["data"].name for stage in stages if stage.name == f"Retriever1 ({start})"}
        assert data == ("collection (byte-level BPE)" if start in BYTE_LEVEL else "collection")


@pytest.mark.parametrize("grid", list(GRIDS))
def test_every_grid_but_that_of_domains_can_be_planned(grid: str, tmp_path: Path) -> None:
    build = build_cells(cells_of([grid], 1), partial(open_scale, "paper"))
    if grid == "corpora":
        with pytest.raises(UserError, match="leave this table or grid out"):
            plan(build, tmp_path)
    else:
        assert plan(build, tmp_path)[0]


@pytest.mark.parametrize("command", ["all", "ablations"])
def test_what_is_made_of_all_tables_leaves_out_those_by_domain(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "all":
        everything.run(ClaimOptions(scale="paper", results=tmp_path / "results", dry_run=True))
    else:
        grid.run(grid.Options(scale="paper", results=tmp_path / "results", dry_run=True))
    assert "stages to do" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A file of test questions of NQ."""
    path = tmp_path / "nq-test.qa.csv"
    path.write_text("who?\t['me']\n", encoding="utf-8")
    return path


def test_a_dry_run_on_the_archive_lists_every_stage(dry_run: Callable[..., str], tmp_path: Path) -> None:
    folder = released.packed(tmp_path / "data", passages__jsonl__gz=released.passages(400), **released.trec_dl())
    printed = dry_run("table2", scale="paper", collection=str(folder), results=tmp_path / "results")
    for name in planned(table2(), tmp_path / "results", "paper", str(folder)):
        assert f" {name} " in printed
    assert "25 of 25 stages to do" in printed and not (tmp_path / "results").exists()


def test_a_dry_run_on_the_scales_own_collection_fetches_nothing(dry_run: Callable[..., str], tmp_path: Path) -> None:
    assert "3 of 3 stages to do" in dry_run("table2", scale="paper", rows=("bm25",), results=tmp_path / "results")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_nq_lists_every_stage(dry_run: Callable[..., str], questions: Path, tmp_path: Path) -> None:
    printed = dry_run("table4", scale="paper", collection=f"nq:{questions}", results=tmp_path / "results")
    for name in planned(table4(), tmp_path / "results", "paper", f"nq:{questions}"):
        assert f" {name} " in printed
    assert "33 of 33 stages to do" in printed and list(tmp_path.iterdir()) == [questions]


def test_a_damaged_file_of_questions_is_refused_before_anything_is_written(
    dry_run: Callable[..., str], questions: Path, tmp_path: Path
) -> None:
    questions.write_text("what?\t['b']\nwho?\t['a'\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"^{questions}:2: "):
        dry_run("table4", scale="paper", collection=f"nq:{questions}", results=tmp_path / "results")
    assert list(tmp_path.iterdir()) == [questions]


def test_nq_is_measured_by_answers_and_by_no_other_table(questions: Path, tmp_path: Path) -> None:
    options = Options(scale="paper", collection=f"nq:{questions}")
    check_domains(table4(), options)
    with pytest.raises(UserError, match="table2 measures by qrels, and the test questions of nq have answers instead"):
        check_domains(table2(), options)
    stages = planned(table4(), tmp_path / "results", "paper", f"nq:{questions}")
    assert "answers" in stages and "derived answers" not in stages


def test_nq_trains_on_sets_told_apart_by_answers_and_ms_marco_on_runs(questions: Path, tmp_path: Path) -> None:
    stages = planned(table4(), tmp_path / "results", "paper", f"nq:{questions}")
    sets = {
        "first training set": ["BM25"],
        "Retriever1: training set": ["BM25", "Retriever1 (simlm): runs"],
        "Retriever2: training set": ["BM25", "Retriever2: runs"],
    }
    for name, runs in sets.items():
        inputs = stages[name].inputs
        assert [inputs[f"runs[{place}]"].name for place in range(len(runs))] == runs
        assert inputs["answers"].name == "answers of train and valid" and f"runs[{len(runs)}]" not in inputs
    first, second, third = sets
    trained_on = {
        ("Retriever1 (base)", "negatives"): first,
        ("Retriever1 (simlm)", "negatives"): first,
        ("Retriever2", "negatives"): second,
        ("re-ranker", "candidates"): third,
        ("teacher scores", "negatives"): third,
        ("Retriever_distill (simlm)", "negatives"): third,
    }
    for (name, role), expected in trained_on.items():
        assert stages[name].inputs[role].name == expected
    own = planned(table4(), tmp_path / "results", "paper")
    assert not [name for name in own if "training set" in name]
    assert own["Retriever2"].inputs["negatives"].name == "Retriever1 (simlm): runs"
    assert own["re-ranker"].inputs["candidates"].name == "Retriever2: runs"


def test_at_paper_scale_no_warning_says_that_nq_is_trained_as_ms_marco_is(questions: Path, tmp_path: Path) -> None:
    options = Options(scale="paper", collection=f"nq:{questions}", seed=2)
    assert warnings(options, []) == ["Seed 2 was added to every seed of the scale."]
    seeds = origin("table4", options, [], {}, {})["method"]["seeds"]
    assert seeds == {"pre-training": 45680, "Retriever1/2": 5680, "re-ranker": 989, "distillation": 125}
    (said,) = warnings(Options(scale="small", collection=f"nq:{questions}"), [])
    assert "as MS MARCO is" in said and "at paper scale alone" in said
