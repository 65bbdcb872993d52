"""The hyper-parameters of the report: a row for each of Tables 11 and 13, with the scale's own value."""

import pandas as pd
import pytest

from reports.model import HyperParameter
from repro.chosen import EPOCHS, PAPER, PUBLIC, RELEASED, UNTUNED, base_rate
from repro.hyperparameters import hyperparameters
from repro.published import published
from repro.trials import RATE, published_trials
from simlm.scales import NAMES, Scale, open_scale


@pytest.fixture(params=NAMES)
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def by_name(scale: Scale) -> dict[str, HyperParameter]:
    rows = hyperparameters(scale, {})
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def start_of(scale: Scale) -> str:
    return "bert-base-uncased" if scale.name == "paper" else "base stand-in (MLM on the corpus)"


def test_table_11(scale: Scale) -> None:
    rows, pre = by_name(scale), scale.pretraining
    rates = [f"{start} {rate:g}" for start, rate in scale.pretraining_rates.items()]
    ours = {
        "batch size": ("pre-training: batch", str(pre.optimisation.batch_size)),
        "text length": ("pre-training: tokens a passage", str(pre.max_length)),
        "learning rate": ("pre-training: learning rate", "; ".join([f"{pre.optimisation.learning_rate:g}", *rates])),
        "warmup steps": ("pre-training: warm-up steps", str(pre.optimisation.warmup_steps)),
        "train steps": ("pre-training: steps", str(pre.optimisation.steps)),
        "encoder replace rate": ("pre-training: encoder replace rate", "30%"),
        "decoder replace rate": ("pre-training: decoder replace rate", "50%"),
        "initialisation": ("pre-training: start", start_of(scale)),
    }
    table = published("table11").set_index("hyperparameter")["ms_marco"]
    assert set(table.index) - set(ours) == {"passages", "hardware and time"}, "not ours to choose"
    for name, (row, value) in ours.items():
        assert (rows[row].value, rows[row].paper) == (value, table[name]), name


@pytest.mark.parametrize(
    ("column", "prefix"),
    [("retriever_1_2", "Retriever1/2"), ("retriever_distill", "distillation"), ("reranker", "re-ranker")],
)
def test_table_13(column: str, prefix: str, scale: Scale) -> None:
    rows = by_name(scale)
    settings = {"Retriever1/2": scale.retriever, "distillation": scale.distillation, "re-ranker": scale.reranker}[
        prefix
    ]
    optimisation = settings.optimisation
    ours = {
        "learning rate": ("learning rate", f"{optimisation.learning_rate:g}"),
        "warmup steps": ("warm-up steps", str(optimisation.warmup_steps)),
        "batch size": ("queries a batch", str(optimisation.batch_size)),
        "epochs": ("steps", str(optimisation.steps)),
        "negatives depth": ("negatives' depth", str(settings.negatives.depth)),
        "negatives per query": ("negatives a query", str(settings.passages_per_query - 1)),
    }
    if prefix == "re-ranker":
        ours |= {
            "rerank depth": ("depth", str(scale.reranker.rerank_depth)),
            "passage length": ("tokens a pair", str(scale.reranker.max_length)),
            "initialisation": ("start", scale.reranker_start),
        }
    else:
        retriever = scale.retriever if prefix == "Retriever1/2" else scale.distillation
        ours |= {
            "temperature": ("temperature", f"{retriever.temperature:g}"),
            "query length": ("query tokens", str(retriever.query_length)),
            "passage length": ("passage tokens", str(retriever.passage_length)),
        }
    if prefix == "distillation":
        ours["alpha"] = ("alpha", f"{scale.alpha:g}")
    table = published("table13").set_index("hyperparameter")[column].dropna()
    assert set(table.index) - set(ours) <= {"GPUs", "initialisation"}
    for name, (row, value) in ours.items():
        found = rows[f"{prefix}: {row}"]
        paper = f"{table[name]} epochs" if name == "epochs" else str(table[name])
        assert (found.value, found.paper) == (value, paper), name


def test_only_the_papers_values_are_called_the_papers(scale: Scale) -> None:
    for row in hyperparameters(scale, {}):
        assert row.chosen
        if row.chosen == PAPER:
            assert same(row.value, row.paper) or row.paper.startswith({"False": "off"}.get(row.value, row.value)), row


def same(value: str, paper: str) -> bool:
    """3e-4 and 0.0003 are one number."""
    try:
        return float(value) == float(paper)
    except ValueError:
        return False


def test_at_paper_scale_every_value_is_the_papers_the_released_codes_or_the_public_models() -> None:
    how = {row.name: row.chosen for row in hyperparameters(open_scale("paper"), {})}
    assert set(how.values()) == {PAPER, RELEASED, PUBLIC, EPOCHS}
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


def test_a_setting_says_how_it_was_tried_only_where_it_was(scale: Scale) -> None:
    name = "Retriever1/2: learning rate"
    untried = "the paper's" if scale.name == "paper" else "not tuned"
    assert untried in by_name(scale)[name].chosen
    tried = {row.name: row.chosen for row in hyperparameters(scale, {"learning rate": [0.001, 0.5]})}
    assert tried[name].startswith("0.001, 0.5 tried on valid")
    assert "tried" not in tried["distillation: alpha"]


def test_the_base_models_rate_tells_what_came_of_it_as_the_trials_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mini = open_scale("mini")
    trials = published_trials("mini")
    own = trials[(trials["setting"] == RATE) & (trials["value"] == mini.retriever.optimisation.learning_rate)]
    scores = own.set_index("row")["score"]
    said = base_rate(mini)
    assert f"{scores['base']:.4f} against {scores['random']:.4f}" in said
    assert ("below it too" in said) == (scores["base"] < scores["random"])
    better = trials.assign(score=trials["score"].where(trials["row"] != "base", 0.9))
    monkeypatch.setattr("repro.chosen.published_trials", lambda name: better)
    assert "above it: RR@10 0.9000" in base_rate(mini)
    monkeypatch.setattr("repro.chosen.published_trials", lambda name: pd.DataFrame(columns=trials.columns))
    assert base_rate(mini) == UNTUNED
