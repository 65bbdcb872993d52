"""Table 4: its rows are the paper's and Table 2's runs, and its figures are what Pyserini's match of answers gives."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pyserini.eval.evaluate_dpr_retrieval import SimpleTokenizer, has_answers

from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.table2 import table2
from repro.table4 import table4
from repro.table6 import table6
from simlm.data.opening import open_collection
from simlm.scales import open_scale
from simlm.workflow.plan import Planned, plan
from tests.repro import small_tables
from tests.repro.commands import Results

ROWS = small_tables.ROWS["table4"]


def test_judging_the_answers_is_all_that_is_made(tables: Results, smoke: Results) -> None:
    own = tables.stages("table4").keys() - smoke.stages("table2").keys()
    assert own == {"derived answers", "BM25: answers", "Retriever1 (simlm): answers"}


def rows(results: Results) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in results.twin("table4")["rows"]}


def test_the_papers_rows_are_all_there_with_their_figures() -> None:
    table = table4()
    shown = {row.label: row.published for row in table.rows if row.published} | {
        row.label: row.published for row in table.paper_only
    }
    paper = {row.model: {"r20": row.r20, "r100": row.r100} for row in published("table4").itertuples()}
    mine = {"BM25 (k1 0.9, b 0.4)": "BM25", "SimLM, distilled": "SimLM", "coCondenser, mined negatives": "coCondenser"}
    assert {mine.get(label, label): figures for label, figures in shown.items()} == paper
    assert [column.measure for column in table.columns] == list(table.measures) == ["Success@20", "Success@100"]
    keys = [row.key for row in table.rows] + [key for key, *_ in table.paper_only]
    assert len(set(keys)) == len(keys) and set(table.baselines) <= set(keys)


def test_every_row_judges_the_run_that_table_2_or_6_has_under_its_key(tmp_path: Path) -> None:
    def build(submit: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        cells = PipelineRuns(open_scale("smoke"), 0, submit)
        runs = {row.key: row.run(cells) for table in (table6(), table2()) for row in table.rows}
        return {row.key: row.run(cells) for row in table4().rows}, runs

    stages, (judged, runs) = plan(build, tmp_path)
    by_name: dict[str, Planned] = {stage.name: stage for stage in stages}
    assert len(by_name) == len(stages), "the report lists stages by name"
    for key, one in judged.items():
        assert one.ranked is runs[key] and one.origin is runs[key]
    assert sum(stage.inputs.get("answers") is by_name["derived answers"] for stage in stages) == len(judged)


def test_figures_are_those_of_pyserinis_match(tables: Results) -> None:
    collection, tokenizer = open_collection("insuranceqa-smoke"), SimpleTokenizer()
    texts = {passage.id: passage.text for passage in collection.passages()}
    (lines,) = tables.folder.glob("jobs/*.derivedanswers/*/output/test.answers.jsonl")
    answers = {row["query_id"]: [one["text"] for one in row["answers"]] for row in map(json.loads, lines.open())}
    assert list(answers) == [query.id for query in collection.queries("test")]
    for key in ROWS:
        row = rows(tables)[key]
        run: dict[str, list[str]] = {}
        for line in (tables.folder / row["run"]["path"]).read_text().splitlines():
            query, _, passage, *_ = line.split()
            run.setdefault(query, []).append(passage)
        hits = {q: [has_answers(texts[p], answers[q], tokenizer) for p in ranked] for q, ranked in run.items()}
        with (tables.folder / row["per_query"]["path"]).open() as file:
            kept = {line["query_id"]: line for line in csv.DictReader(file)}
        assert list(kept) == list(answers)
        for k in (20, 100):
            found = {query: float(any(hits.get(query, [])[:k])) for query in answers}
            assert {query: float(line[f"Success@{k}"]) for query, line in kept.items()} == found
            assert row["measured"][f"Success@{k}"]["mean"] == pytest.approx(sum(found.values()) / len(found))


def test_a_run_is_the_top_of_the_one_it_stands_on_and_costs_what_that_costs(smoke: Results, tables: Results) -> None:
    before = {row["key"]: row for row in smoke.report["rows"]}
    for key in ROWS:
        row = rows(tables)[key]
        first: dict[str, list[str]] = {}
        for line in (smoke.folder / before[key]["run"]["path"]).read_text().splitlines():
            query, _, passage, *_ = line.split()
            first.setdefault(query, []).append(passage)
        shown = [line.split() for line in (tables.folder / row["run"]["path"]).read_text().splitlines()]
        assert [(line[0], line[2]) for line in shown] == [(q, p) for q, ranked in first.items() for p in ranked[:100]]
        assert (row["index_bytes"], row["latency_ms"]) == (before[key]["index_bytes"], before[key]["latency_ms"])
        assert row["index_bytes"] and row["latency_ms"] and row["seconds"] > before[key]["seconds"]


def test_the_report_says_that_the_answers_are_derived_and_how(tables: Results) -> None:
    text = tables.page("table4").read_text(encoding="utf-8")
    assert "The answers are derived" in text and "the 2 adjacent words of its text" in text
    assert "Success@20 [95 %]" in text and "Natural Questions test" in text and "RR@10" not in text.split("## ")[1]
    assert text.count("(paper only)") == 6
    assert tables.twin("table4")["measures"] == ["Success@20", "Success@100"]
