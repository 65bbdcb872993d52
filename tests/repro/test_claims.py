"""Claims: every one names rows that exist, verdicts come from the rows' per-query values, and nothing is left out."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.files import read_report
from reports.verdicts import ABOVE, CONFOUNDED, CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, same
from repro import all as everything
from repro import claim_runs, claims, seed_file
from repro.claims import ClaimOptions, claims_page
from repro.command import Options, refuse
from repro.paper_claims import CLAIMS, MARGINS, REASON, SLIGHT, Claim
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.tables import PAGES, SETTINGS, TABLES
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.workflow.plan import job_of, plan, resolve_graph
from simlm.workflow.sources import sources_digest
from tests.repro.commands import Results

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


def rows_of_smoke(folder: Path, claims_asked: Sequence[Claim] = CLAIMS) -> dict[Any, Any]:
    """The runs that claims compare, planned."""
    found: dict[Any, Any] = {}
    plan(
        lambda submit: found.update(claim_runs.ask(PipelineRuns(open_scale("smoke"), 0, submit), claims_asked)), folder
    )
    return found


def test_the_claims_over_seeds_are_a_dozen_and_no_other_has_all_its_runs(tmp_path: Path) -> None:
    """A claim whose runs are made for every seed anyway would be decided over one of them by choice."""
    marked = [claim for claim in CLAIMS if claim.over_seeds]
    assert 10 <= len(marked) <= 14
    rows = rows_of_smoke(tmp_path)
    made = {job_of(rows[row]) for claim in marked for row in claim.rows}
    for claim in CLAIMS:
        if rows.keys() >= set(claim.rows):
            assert claim.over_seeds is (made >= {job_of(rows[row]) for row in claim.rows}), claim.key


def test_every_measured_row_that_a_claim_compares_is_built_and_others_are_not_testable(tmp_path: Path) -> None:
    found = rows_of_smoke(tmp_path)
    measured = {(name, row.key) for name, table in TABLES.items() for row in table().rows}
    testable = [claim for claim in CLAIMS if set(claim.rows) <= measured]
    assert set(found) == {row for claim in testable for row in claim.rows}
    for claim in testable:
        pairs = [[found[claim.table, key] for key in pair] for pair in claim.pairs]
        assert all(higher is not lower for higher, lower in pairs) and len(pairs) == (
            6 if "only objective" in claim.sentence else 1
        )


def test_a_dry_run_plans_every_seed_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tables, which have one seed, and of the claims over seeds, which have all."""
    names: list[str] = []
    monkeypatch.setattr("repro.run.print_plan", lambda stages, *_: names.extend(stage.name for stage in stages))
    everything.run(ClaimOptions(scale="smoke", seeds=2, results=tmp_path / "results", dry_run=True))
    assert len(set(names)) == len(names)
    for name in ("SimLM pre-training", "re-ranker", "Retriever1 (mlm): runs"):
        assert {name, f"{name}, seed 1"} <= set(names)
    assert "re-ranker (electra)" in names and "re-ranker (electra), seed 1" not in names  # of no claim over seeds
    assert "collection, seed 1" not in names and not any(name.endswith("seed 2") for name in names)
    tables = {"Retriever1 (retromae): runs", "derived answers"}
    assert tables <= set(names) and "Retriever1 (retromae): runs, seed 1" not in names


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[Any, pd.DataFrame]:
    """Per-query values by the name of a fake run."""
    monkeypatch.setattr(claims, "measure_on", lambda run, name: name)
    return {}


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
    rows: Any = {("table7", "simlm"): high, ("table7", "mlm"): low, ("table7", "base"): low[:1]}
    rows["table7", "simlm"] += ["not of base"]
    values["not of base"] = values["high0"]
    page = claims_page("mini", rows, {}, [], lambda run, measure: values[run][measure])
    lines = {str(line["claim"]): line for line in page.sections[0].rows}
    assert [line["verdict"] for line in lines.values()] == [SUPPORTED, CONTRADICTED, SUPPORTED, NOT_TESTABLE]
    expected = np.mean([values[f"high{s}"]["RR@10"].mean() - below.mean() for s in range(2)])
    assert lines["better"]["difference"] == f"{expected:+.4f}" and lines["worse"]["difference"] == f"{-expected:+.4f}"
    assert lines["better"]["supported where"] == "above 0" and lines["better"]["seeds"] == 2
    assert lines["alike"]["seeds"] == 1 and lines["unknown"]["seeds"] is None
    assert "one training seed, 2 claims over the test queries of 2 seeds" in page.introduction
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
    monkeypatch.setattr(claim_runs.table3, "sizes", lambda index: next(sizes))
    index: Any = None
    counted = [claim_runs.smaller_index(index) | {"claim": name} for name in ("smaller", "larger")]
    void = {taught.key: "the re-ranker ended at chance"}

    def of(run: Any, measure: str) -> Any:
        return values[run][measure]

    public = claims_page("mini", rows, {}, [], of, {both.key, unsure.key}).sections[0].rows
    assert [line["verdict"] for line in public] == [CONFOUNDED, UNDECIDED, UNDECIDED]
    page = claims_page("mini", rows, void, counted, of)
    lines = {str(line["claim"]): line for line in page.sections[0].rows}
    assert [line["verdict"] for line in lines.values()] == [SUPPORTED, UNDECIDED, NOT_TESTABLE, SUPPORTED, CONTRADICTED]
    assert str(lines["both"]["difference"]).count("; ") == 1 and lines["both"]["supported where"] == "above 0"
    assert lines["taught"]["why not tested"] == "the re-ranker ended at chance" and lines["taught"]["p"] is None
    assert lines["smaller"]["difference"] == "+9,600"
    assert "over all 2 claims that could be tested" in page.sections[1].text
    assert len({tuple(line) for line in lines.values()}) == 1


def left_by(options: ClaimOptions, seed: int, level: float) -> seed_file.SeedFile:
    """What a seed's runs could have left: values that differ by run."""
    planned, (rows, _) = resolve_graph(partial(claim_runs.asked, options, seed), options.results)
    rng = np.random.default_rng(seed)
    wanted = claim_runs.measures_of(rows)
    frames = [
        (
            rows[row],
            pd.DataFrame({name: level + rng.random(QUERIES) for name in names}, index=[*map(str, range(QUERIES))]),
        )
        for row, names in wanted.items()
    ]
    modules = ["simlm.evaluation.measures"]
    made = {"modules": modules, "sources": sources_digest(tuple(modules)), "commit": "a" * 40}
    stages = {one.name: {"identifier": one.job.name} | made for one in planned}
    facts = [{"name": name, "identifier": one["identifier"]} for name, one in stages.items()]
    counted: Any = [{"claim": "counted", "verdict": SUPPORTED}] if seed == 0 else []
    queries, found = seed_file.value_lists(frames)
    return seed_file.SeedFile(stages, facts, {}, {}, [f"seed {seed} says"], {}, counted, queries, found)


def test_a_published_seed_is_taken_while_settings_and_code_are_its_own_and_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ClaimOptions(scale="smoke", seeds=3, results=tmp_path / "results", publish=True)
    monkeypatch.setattr(seed_file, "ROOT", tmp_path)
    made, pages = [], []

    def make_seed(options: ClaimOptions, seed: int) -> claim_runs.Seed:
        made.append(seed)
        _, (rows, _) = resolve_graph(partial(claim_runs.asked, options, seed), options.results)
        return claim_runs.Seed(rows, left_by(options, seed, 0.0))

    monkeypatch.setattr(claims, "made_seed", make_seed)
    monkeypatch.setattr(claims, "finish", lambda page, *_: pages.append(page))
    for seed in (0, 1):
        seed_file.write(left_by(options, seed, 0.0), seed_file.path_of("smoke", seed))
    assert seed_file.read(seed_file.path_of("smoke", 1)) == left_by(options, 1, 0.0)
    claims.run(options)
    assert made == [2]
    lines = {line["claim"]: line for line in pages[0].sections[0].rows}
    for claim in CLAIMS:
        assert lines[claim.sentence]["seeds"] in ((3,) if claim.over_seeds else (1, None))
    assert "counted" in lines and pages[0].warnings[-3:] == ["seed 0 says", "seed 1 says", "seed 2 says"]
    identifiers = [fact.identifier for fact in pages[0].stages]
    assert len(set(identifiers)) == len(identifiers)
    # Other code, other settings, a measure that is missing, or no --publish: it is made.
    path, before = seed_file.path_of("smoke", 1), seed_file.path_of("smoke", 1).read_text(encoding="utf-8")
    for old, new in (("sources", "sources_of_old"), ('"RR@10"', '"RR@5"')):
        path.write_text(before.replace(old, new), encoding="utf-8")
        assert claim_runs.published_seed(options, 1) is None
    path.write_text(before, encoding="utf-8")
    assert claim_runs.published_seed(options, 1) is not None
    assert claim_runs.published_seed(replace(options, negatives="package"), 1) is None
    assert claim_runs.published_seed(replace(options, publish=False), 1) is None
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="1.json: this holds no seed's values"):
        claim_runs.published_seed(options, 1)


def test_what_a_seeds_runs_left_is_published_and_gives_the_same_page(
    tables: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two finished rows; the page has the differences of the files that the runs left."""
    rows = [("table6", "simlm-1"), ("table6", "cocondenser-1")]
    (claim,) = (one for one in CLAIMS if one.rows == rows)
    for module in (claims, claim_runs):
        monkeypatch.setattr(module, "CLAIMS", [claim])
    monkeypatch.setattr(seed_file, "ROOT", tmp_path)
    pages = []
    monkeypatch.setattr(claims, "finish", lambda page, *_: pages.append(page))
    options = ClaimOptions(scale="smoke", results=tables.folder, publish=True)
    claims.run(options)
    monkeypatch.setattr(claims, "made_seed", None)
    claims.run(options)
    first, second = pages
    assert first.sections == second.sections and first.warnings == second.warnings and first.stages == second.stages
    assert len(first.stages) > 5 and first.provenance["method"]["stages"] == second.provenance["method"]["stages"]
    assert first.provenance["data"] and str(tables.folder) not in (tmp_path / "smoke/seeds/0.json").read_text()
    means = [read_report(tables.folder / "smoke" / "rows-cocondenser-1-simlm-1" / "table6.json")]
    higher, lower = (means[0].row(key).measured["RR@10"].mean for _, key in rows)  # type: ignore[union-attr, index]
    line, counted = first.sections[0].rows
    assert line["difference"] == f"{higher - lower:+.4f}" and line["seeds"] == 1 and counted["measure"] == "bytes"


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
