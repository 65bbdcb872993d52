"""What reports say at paper scale: rows by the models they start from, and no sentence that holds below it only."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations.starts import PLMS
from reports.model import CollectionFacts, Report, Row
from reports.render import render
from reports.terminal import print_report
from repro.claims import claims_page
from repro.report_builder import notes
from repro.table import at_scale
from repro.table1 import table1
from repro.table3 import PASSAGES, _here
from repro.table5 import table5
from repro.tables import TABLES
from simlm.scales import NAMES, open_scale
from simlm.stages.models import PublicModel
from simlm.stages.reranker import TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.workflow.plan import ancestors
from tests.repro.planning import planned

BELOW = [name for name in NAMES if name not in ("small", "paper")]
MODELS = {
    "base": ("BERT-base", "bert-base-uncased"),
    "roberta": ("RoBERTa-base", "roberta-base"),
    "electra": ("ELECTRA-base", "google/electra-base-discriminator"),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_no_row_is_called_a_stand_in_at_paper_scale_and_nothing_changes_below_it(name: str) -> None:
    table = TABLES[name]()
    for scale in BELOW:
        assert at_scale(table, open_scale(scale)).chosen([])[: len(table.rows)] == table.rows
    small = open_scale("small")
    rows = [row for row in at_scale(table, small).chosen([]) if not row.reference]
    beside = ["reranker-simlm"] if name == "table2" else []
    assert [row.key for row in rows] == [row.key for row in table.rows if row.key not in small.left_out] + beside
    assert not [row.label for row in rows if "like" in row.label]
    public = at_scale(table, open_scale("paper")).chosen([])
    assert [row.key for row in public] == [row.key for row in table.rows]
    assert not [row.label for row in public if "like" in row.label]
    changed = {one.key for one, other in zip(public, table.rows, strict=True) if one.label != other.label}
    assert changed == {"table1": {"base", "roberta", "electra"}, "table5": {"base", "electra"}}.get(name, set())


@pytest.mark.parametrize("start", list(PLMS))
def test_a_row_of_table_1_is_called_by_the_model_that_is_fine_tuned(start: str, tmp_path: Path) -> None:
    row = next(row for row in at_scale(table1(), open_scale("paper")).rows if row.key == start)
    label, repository = MODELS[start]
    stages = planned([row], tmp_path, "paper")
    trained = next(stage for stage in stages.values() if isinstance(stage.config, TrainRetriever))
    started: Any = trained.inputs["start"].config
    assert isinstance(started, PublicModel)
    assert row.label == label and started.name == repository
    settings: Any = trained.config
    rate, steps = settings.settings.optimisation.learning_rate, settings.settings.optimisation.steps
    if start == "electra":
        assert f"ELECTRA-base is fine-tuned with a learning rate of {rate:g} for {steps:,} updates" in row.note
        assert (rate, steps) == (4e-5, 6 * 7859) and "the other rows with 2e-05 for 23,577" in row.note
    else:
        assert row.note == "" and (rate, steps) == (2e-5, 3 * 7859)


def test_a_row_of_table_5_is_called_by_what_its_re_ranker_starts_from(tmp_path: Path) -> None:
    for row in at_scale(table5(), open_scale("paper")).rows:
        stages = planned([row], tmp_path, "paper")
        ranker = next(stage for stage in stages.values() if isinstance(stage.config, TrainReranker))
        start = ranker.inputs["start"]
        if row.key == "simlm":
            assert row.label == "re-ranker from SimLM" and start.name == "SimLM pre-training"
        else:
            label, repository = MODELS[row.key]
            config: Any = start.config
            assert row.label == f"re-ranker from {label}" and config.name == repository
        assert row.note == "", "all re-rankers have the same settings"
        settings: Any = ranker.config
        assert settings.settings.optimisation.learning_rate == 3e-5
        assert ranker in ancestors(next(one for one in stages.values() if one.name.startswith("re-ranked run")))


def of_scale(report: Report, name: str) -> Report:
    report.scale = name
    report.collection = CollectionFacts("SimLM's MS MARCO", "test", 8_841_823, 6_980)
    return report


def test_notes_and_page_and_terminal_do_not_speak_of_stand_ins(
    report: Report, values: dict[str, pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for name in ("mini", "paper"):
        of_scale(report, name).notes = notes(report, 60.0, open_scale(name))
        print_report(report)
        said[name] = " ".join(render(report, "table2").split()), " ".join(capsys.readouterr().out.split())
    below = (
        "not comparable: another collection, another model size",
        "some after a look at a few runs on the validation split while this was built",
        "but what the table varies and the pre-training's learning rate",
    )
    for sentence in below:
        assert sentence in said["mini"][0] and sentence not in said["paper"][0]
    for sentence in (
        "Models, settings and budgets are the paper's.",
        "Other settings are the paper's or the released implementation's",
        "share every hyper-parameter but what the table varies.",
    ):
        assert sentence in said["paper"][0] and sentence not in said["mini"][0]
    assert "for order and gaps only" in said["mini"][1] and "for order and gaps only" not in said["paper"][1]


def test_rows_do_not_share_what_one_has_for_itself(report: Report) -> None:
    report.rows.append(Row("electra", "ELECTRA-base", measured={}))
    (shared,) = [one for one in notes(report, 60.0, open_scale("paper")) if "share every hyper-parameter" in one]
    assert "but what the table varies, ELECTRA-base excepted." in shared
    (shared,) = [one for one in notes(report, 60.0, open_scale("mini")) if "share every hyper-parameter" in one]
    assert "excepted" not in shared


def test_the_page_of_claims_speaks_of_its_scale() -> None:
    for name, few in (("mini", True), ("paper", False)):
        page = claims_page(name, {}, {}, [], lambda run, measure: pd.Series())
        assert ("of other collections and larger models" in page.introduction) is few
        assert ("what so few queries can tell" in page.sections[1].text) is few
        assert ("Models and settings are the paper's" in page.introduction) is not few


def test_sizes_of_the_same_passages_are_not_of_another_collection() -> None:
    for scale, passages, another in (("mini", 27_413, True), ("paper", PASSAGES, False), ("paper", 300, True)):
        text = _here(passages, passages * 3072, passages * 60, scale).text
        assert ("of another collection" in text) is another
