"""The hyper-parameters of the report: a row for each of Tables 11 and 13, with the scale's own value."""

from importlib.resources import files

import pandas as pd
import pytest

from reports.facts import HyperParameter
from repro.how_chosen import (
    BORROWED,
    EPOCHS,
    EPOCHS_OF_NQ,
    OF_NQ,
    PUBLIC,
    RELEASED,
    SHARE,
    SIZE,
    THE_PAPERS,
    UNTUNED,
    by_trials,
    in_words,
)
from repro.hyperparameters import choices, elsewhere, hyperparameters
from repro.trials import ALPHA, MLM, ORDERED_MLM, RATE
from simlm.scales import NAMES, Scale, on_collection, open_scale
from simlm.scales.minilm import REPOSITORY


@pytest.fixture(params=NAMES)
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def by_name(scale: Scale) -> dict[str, HyperParameter]:
    rows = hyperparameters(scale, {})
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def test_only_the_papers_values_are_called_the_papers(scale: Scale) -> None:
    for row in hyperparameters(scale, {}):
        assert row.chosen
        if row.chosen == THE_PAPERS:
            assert same(row.value, row.paper) or row.paper.startswith({"False": "off"}.get(row.value, row.value)), row


def same(value: str, paper: str) -> bool:
    """3e-4 and 0.0003 are one number."""
    try:
        return float(value) == float(paper)
    except ValueError:
        return value == paper


def test_at_paper_scale_every_value_is_the_papers_the_released_codes_or_the_public_models() -> None:
    how = {row.name: row.chosen for row in hyperparameters(open_scale("paper"), {})}
    assert set(how.values()) == {THE_PAPERS, RELEASED, PUBLIC, EPOCHS}
    assert {name for name, chosen in how.items() if chosen == RELEASED} == {
        "pre-training: passages averaged over",
        "pre-training: schedule",
        "Retriever1/2: schedule",
        "distillation: schedule",
        "re-ranker: schedule",
        "generator dropout while frozen",
        "re-ranker: passages kept",
    }
    assert {name for name, chosen in how.items() if chosen == PUBLIC} == {"pre-training: start", "re-ranker: start"}


def test_the_choices_of_paper_scale_say_what_follows_the_release_and_what_departs() -> None:
    common = {one.name for one in choices(open_scale("mini"))}
    for scale, departures in ((open_scale("paper"), 3), (on_collection(open_scale("paper"), "nq"), 2)):
        own = [one for one in choices(scale) if one.name not in common]
        followed = [one for one in own if one.chosen == RELEASED]
        assert len(followed) == 4 and all(one.paper.startswith(one.value) for one in followed)
        assert len(own) == 4 + departures


def test_natural_questions_have_their_own_values_beside_their_own() -> None:
    """Each row of Table 13's that NQ has, against the file; of the others MS MARCO's, said to be that."""
    scale = on_collection(open_scale("paper"), "nq")
    rows = by_name(scale)
    own, thirteen = (
        pd.read_csv(files("repro.published") / f"{name}.csv", dtype=str, keep_default_na=False)
        .set_index("hyperparameter")
        .to_dict()
        for name in ("nq", "table13")
    )
    named = {
        "learning rate": "learning rate",
        "train steps": "steps",
        "warmup steps": "warm-up steps",
        "batch size": "queries a batch",
        "negatives depth": "negatives' depth",
        "negatives per query": "negatives a query",
        "temperature": "temperature",
        "query length": "query tokens",
    }
    for column, prefix, length in [
        ("retriever_1_2", "Retriever1/2", "passage tokens"),
        ("retriever_distill", "distillation", "passage tokens"),
        ("reranker", "re-ranker", "tokens a pair"),
    ]:
        for name, ours in (named | {"passage length": length}).items():
            found = rows.get(f"{prefix}: {ours}")
            if own[column].get(name):
                assert found is not None and found.paper == f"{own[column][name]} (for NQ)"
                printed = own[column][name].removesuffix(" (query and passage together)").split(" or ")
                assert float(found.value) in map(float, printed)
                assert found.chosen == (RELEASED if " or " in own[column][name] else OF_NQ)
            elif thirteen[column].get(name):
                assert found is not None and found.paper == f"{thirteen[column][name]} (for MS MARCO)"
                assert (found.value, found.chosen) == (thirteen[column][name], BORROWED)
    steps = rows["distillation: steps"]
    assert (steps.value, steps.paper, steps.chosen) == ("27600", "15 epochs (for NQ)", EPOCHS_OF_NQ)
    assert (rows["pre-training: steps"].value, rows["pre-training: steps"].paper) == ("200000", "200000")
    assert rows["distillation: alpha"].value == "1" and rows["distillation: alpha"].chosen == OF_NQ
    assert rows["retriever: similarities' multiplier"].value == "1 to 50 over 1000 updates"
    assert rows["retriever: loss times the processes"].value == "off" and rows["retriever: seed"].value == "5678"
    assert not {SIZE, SHARE} & {row.chosen for row in rows.values()}
    assert not [name for name in by_name(open_scale("paper")) if name.startswith(("training: ", "search: "))]


def test_a_setting_says_how_it_was_tried_only_where_it_was(scale: Scale) -> None:
    name = "Retriever1/2: learning rate"
    untried = "the paper's" if scale.name == "paper" else "not tuned"
    assert untried in by_name(scale)[name].chosen
    tried = {row.name: row.chosen for row in hyperparameters(scale, {"learning rate": [0.001, 0.5]})}
    rows = "base and SimLM" if scale.name == "small" else "random init, base and SimLM"
    assert tried[name].startswith(f"0.001 and 0.5 tried on valid with Retriever1 of {rows}; the best")
    assert "tried" not in tried["distillation: alpha"]
    there = {row.name: row.chosen for row in elsewhere(hyperparameters(scale, {"learning rate": [0.001, 0.5]}))}
    assert there[name].startswith("0.001 and 0.5 tried on InsuranceQA's valid with")


def test_what_stands_for_bert_says_what_was_tried_on_top_of_it() -> None:
    assert by_trials({}, MLM) == UNTUNED and by_trials({}, MLM, otherwise=SIZE) == SIZE
    said = in_words({MLM: [0, 300], RATE: [0.1, 1], ALPHA: [0.2, 2]}, ["base-distilled"])
    assert by_trials(said, MLM, ORDERED_MLM) == (
        "0 and 300 updates of MLM first tried on valid with base's Retriever1; the best"
    )
    assert by_trials(said, ALPHA).startswith("0.2 and 2 tried on valid with distillation of SimLM; the best mean")


def test_table_5_is_named_where_it_has_the_papers_start() -> None:
    starts = {name: by_name(open_scale(name))["re-ranker: start"] for name in ("smoke", "small")}
    assert starts["smoke"].chosen == "set beforehand, not tuned; Table 5 has the start that the paper chose"
    assert (starts["small"].value, starts["small"].chosen) == (REPOSITORY, "set beforehand, not tuned")
