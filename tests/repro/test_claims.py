"""Claims: every one names rows that exist, verdicts come from the rows' per-query values, and nothing is left out."""

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.verdicts import ABOVE, CONFOUNDED, CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, same
from repro import all as everything
from repro import claims
from repro.claims import ClaimOptions, claims_page
from repro.command import Options, refuse
from repro.paper_claims import CLAIMS, MARGINS, REASON, SLIGHT, Claim
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.tables import PAGES, SETTINGS, TABLES
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.workflow.plan import plan

QUERIES = 200
SAME = same(MARGINS["RR@10"])


def keys(table: str) -> set[str]:
    made = TABLES[table]()
    return {row.key for row in made.rows} | {key for key, *_ in made.paper_only}


def test_every_claim_names_two_rows_of_its_table_once() -> None:
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS) > 20
    for claim in CLAIMS:
        assert {key for pair in claim.pairs for key in pair} <= keys(claim.table), claim.key


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_the_papers_figures_agree_with_the_claim(claim: Claim) -> None:
    table = TABLES[claim.table]()
    published = {row.key: row.published or {} for row in table.rows}
    published |= {row.key: row.published for row in table.paper_only}
    groups = {group.key: group.columns for group in table.groups}
    of_row = {row.key: groups.get(row.group, table.columns) for row in table.rows}
    columns = of_row.get(claim.pairs[0][0]) or table.columns
    measure = claims.measure_of(claim)
    (column, *_) = [one.key for one in columns if one.measure == measure] or [""]
    for higher, lower in claim.pairs:
        if column in published[higher] and column in published[lower]:
            difference, level = published[higher][column] - published[lower][column], published[lower][column]
            # A bound itself may be the paper's own figure.
            assert claim.expected.low * level - 1e-9 <= difference <= claim.expected.high * level + 1e-9
            assert difference > 0 or claim.expected is not ABOVE


def test_every_measured_row_that_a_claim_compares_is_built_and_others_are_not_testable(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    def build(submit: Any) -> None:
        found.update(claims.ask(PipelineRuns(open_scale("smoke"), 0, submit)))

    plan(build, tmp_path)
    measured = {(name, row.key) for name, table in TABLES.items() for row in table().rows}
    testable = [claim for claim in CLAIMS if set(claim.rows) <= measured]
    assert set(found) == {row for claim in testable for row in claim.rows}
    for claim in testable:
        pairs = [[found[claim.table, key] for key in pair] for pair in claim.pairs]
        assert all(higher is not lower for higher, lower in pairs) and len(pairs) == (
            6 if "only objective" in claim.sentence else 1
        )


def test_a_dry_run_plans_every_seed_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tables, which have one seed, and of the claims, which have all."""
    names: list[str] = []
    monkeypatch.setattr("repro.run.print_plan", lambda stages, *_: names.extend(stage.name for stage in stages))
    everything.run(ClaimOptions(scale="smoke", seeds=2, results=tmp_path / "results", dry_run=True))
    assert len(set(names)) == len(names)
    for name in ("SimLM pre-training", "informed start", "re-ranker (electra)", "Retriever1 (mlm-3of4): runs"):
        assert {name, f"{name}, seed 1"} <= set(names)
    assert "collection, seed 1" not in names and not any(name.endswith("seed 2") for name in names)
    tables = {"Retriever1 (retromae): runs", "derived answers"}
    assert tables <= set(names) and "Retriever1 (retromae): runs, seed 1" not in names


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """Per-query values by the name of a fake run."""
    known: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(claims, "values_of", lambda run, measures: known[run])
    monkeypatch.setattr(claims, "measure_on", lambda run, name: name)
    return known


def test_verdicts_are_those_of_the_values_over_seeds_and_queries(
    values: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    names = [f"q{number}" for number in range(QUERIES)]
    below = rng.random(QUERIES)
    for seed in range(2):
        values[f"low{seed}"] = pd.DataFrame({"RR@10": below}, index=names)
        better = below + 0.1 + 0.01 * rng.standard_normal(QUERIES)
        values[f"high{seed}"] = pd.DataFrame({"RR@10": better}, index=names).sample(frac=1, random_state=seed)
    made = [
        Claim("better", "here", "table7", (("simlm", "mlm"),), measure="RR@10"),
        Claim("worse", "here", "table7", (("mlm", "simlm"),), measure="RR@10"),
        Claim("alike", "here", "table7", (("base", "mlm"),), SAME, measure="RR@10"),
        Claim("unknown", "here", "table2", (("simlm", "paper-ar2"),)),
    ]
    monkeypatch.setattr(claims, "CLAIMS", made)
    low, high = ([f"{side}{seed}" for seed in range(2)] for side in ("low", "high"))
    rows: Any = {("table7", "simlm"): high, ("table7", "mlm"): low, ("table7", "base"): low[::-1]}
    page = claims_page("mini", rows, 2)
    lines = {str(line["claim"]): line for line in page.sections[0].rows}
    assert [line["verdict"] for line in lines.values()] == [SUPPORTED, CONTRADICTED, SUPPORTED, NOT_TESTABLE]
    expected = np.mean([values[f"high{s}"]["RR@10"].mean() - below.mean() for s in range(2)])
    assert lines["better"]["difference"] == f"{expected:+.4f}" and lines["worse"]["difference"] == f"{-expected:+.4f}"
    assert lines["better"]["supported where"] == "above 0"
    assert lines["alike"]["supported where"] == f"within ±{SAME.high * below.mean():.4f}"
    assert lines["unknown"]["why not tested"] == "a row that it compares was not measured here"
    assert "4 claims" in page.introduction and "2 supported; 1 contradicted; 1 not testable" in page.introduction


def test_several_pairs_are_one_claim_a_void_one_is_not_tested_and_what_is_counted_is_not_either(
    values: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    for key, mean in zip("cbad", (0.1, 0.2, 0.3, 0.099), strict=True):
        values[f"run of {key}"] = pd.DataFrame({"RR@10": mean + 0.05 * rng.standard_normal(QUERIES)})
    both = Claim("both", "here", "table7", (("a", "b"), ("b", "c")), measure="RR@10")
    unsure = Claim("unsure", "here", "table7", (("b", "c"), ("c", "d")), measure="RR@10")
    taught = Claim("taught", "here", "table7", (("c", "d"),), measure="RR@10", with_teacher=True)
    monkeypatch.setattr(claims, "CLAIMS", [both, unsure, taught])
    rows: Any = {("table7", key): [f"run of {key}"] for key in "abcd"}
    sizes = iter([(400, 10_000), (2, 1)])
    monkeypatch.setattr(claims.table3, "sizes", lambda index: next(sizes))
    index: Any = None
    counted = [claims._smaller_index(index) | {"claim": name} for name in ("smaller", "larger")]
    public = claims_page("mini", rows, 1, confounded={both.key, unsure.key}).sections[0].rows
    assert [line["verdict"] for line in public] == [CONFOUNDED, UNDECIDED, UNDECIDED]
    page = claims_page("mini", rows, 1, {taught.key: "the re-ranker ended at chance"}, counted)
    lines = {str(line["claim"]): line for line in page.sections[0].rows}
    assert [line["verdict"] for line in lines.values()] == [SUPPORTED, UNDECIDED, NOT_TESTABLE, SUPPORTED, CONTRADICTED]
    assert str(lines["both"]["difference"]).count("; ") == 1 and lines["both"]["supported where"] == "above 0"
    assert lines["taught"]["why not tested"] == "the re-ranker ended at chance" and lines["taught"]["p"] is None
    assert lines["smaller"]["difference"] == "+9,600"
    assert "over all 2 claims that could be tested" in page.sections[1].text
    assert len({tuple(line) for line in lines.values()}) == 1


@pytest.mark.parametrize("options", [ClaimOptions(seeds=0), ClaimOptions(rows=("simlm",))])
def test_what_makes_no_sense_is_refused(options: ClaimOptions) -> None:
    with pytest.raises(UserError, match="--(seeds 0: choose 1 or more|rows changes nothing)"):
        claims.run(options)


@pytest.mark.parametrize("changes", [{}, {"device": "cpu"}, {"seed": 1}, {"negatives": "package"}, {"publish": True}])
def test_all_runs_every_command_with_options_that_it_takes(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: dict[str, Options] = {}

    def note(name: str, options: Options) -> None:
        ran[name] = options

    monkeypatch.setattr(everything, "run_report", note)
    monkeypatch.setattr(everything.claims, "run", partial(note, "claims"))
    monkeypatch.setattr(everything.index, "run", partial(note, "index"))
    everything.run(ClaimOptions(scale="smoke", **changes))
    settings = {} if {"seed", "negatives"} & set(changes) else {"table11", "table13"}
    assert set(ran) == {*TABLES, "table3", "table9", *settings, "claims", "index"}
    for name, options in ran.items():
        expected = {} if name in ("table11", "table13", "index") else changes
        assert options.scale == "smoke" and all(getattr(options, key) == value for key, value in expected.items())
        assert options.publish == changes.get("publish", False)
    for name in settings:
        refuse(ran[name], name, "rows", "negatives", "seed", "device")


def test_every_module_that_all_runs_is_there() -> None:
    assert all(make().name == name for name, make in TABLES.items())
    assert all(callable(importlib.import_module(f"repro.{name}").run) for name in (*PAGES, *SETTINGS))


def test_what_the_paper_calls_a_loss_is_twice_the_margin_and_what_it_calls_none_is_inside() -> None:
    margin = MARGINS["RR@10"]
    assert abs(margin * 38.0 * 2 - 1.4) < 1e-9
    generators = published("table12")["mrr10"]
    assert (generators.max() - generators.min()) / generators.max() < margin
    rates = published("table8")
    others = rates[rates["decoder_replace_rate"] < 100]["mrr10"]
    assert (others.max() - others.min()) / others.max() < margin


def test_the_margin_of_recall_is_narrower_and_holds_the_generators() -> None:
    recall = published("table12")["r1k"]
    assert (recall.max() - recall.min()) / recall.max() < MARGINS["R@1000"] < MARGINS["RR@10"]


def test_slightly_is_less_than_no_difference_can_be() -> None:
    assert abs(SLIGHT * 36.7 - 0.2) < 1e-9 and MARGINS["RR@10"] > SLIGHT
    assert f"{SLIGHT:.2%}" in REASON and all(f"{margin:.2%}" in REASON for margin in MARGINS.values())
