"""The whole pipeline at smoke scale by the real command: its report, and its second run."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from reports.model import MAIN_COLUMNS
from repro.published import published
from repro.table2 import table2 as table
from simlm.data.opening import open_collection
from simlm.evaluation.measures import MEASURES
from simlm.files import digest
from tests.repro.commands import Results, listing, table2

ABSOLUTE = re.compile(r"(?<![\w.~})/-])/(?:home|root|Users|tmp|work|mnt|opt|usr|var|etc|private)/\w")
STAGES = 26


def rows(results: Results) -> dict[str, dict[str, Any]]:
    """The rows of the report that were measured, by key."""
    return {row["key"]: row for row in results.report["rows"] if row["measured"] is not None}


def test_the_report_has_every_row(smoke: Results) -> None:
    assert list(rows(smoke)) == [row.key for row in table().rows]
    folder = smoke.folder / "smoke"
    assert {path.name for path in folder.iterdir()} == {
        "table2.md",
        "table2.json",
        "table2-bars.svg",
        "table2-losses.svg",
    }
    page = (folder / "table2.md").read_text(encoding="utf-8")
    for row in table().rows:
        assert row.label in page
    for image in re.findall(r"\]\(([^)]+\.svg)\)", page):
        assert (folder / image).is_file()


@pytest.mark.parametrize("key", [row.key for row in table().rows])
def test_figures_are_those_of_the_run_file(key: str, smoke: Results) -> None:
    """Measured here by ir_measures from the run file and the qrels alone; a query without a line counts 0."""
    row = rows(smoke)[key]
    run = smoke.folder / row["run"]["path"]
    assert digest(run) == row["run"]["sha256"]
    assert digest(smoke.folder / row["per_query"]["path"]) == row["per_query"]["sha256"]
    qrels = open_collection("insuranceqa-smoke").qrels("test")
    judged = [ir_measures.Qrel(query, passage, grade) for query in qrels for passage, grade in qrels[query].items()]
    totals = {str(measure): 0.0 for measure in MEASURES}
    for value in ir_measures.iter_calc(MEASURES, judged, ir_measures.read_trec_run(str(run))):
        totals[str(value.measure)] += value.value
    for name, total in totals.items():
        estimate = row["measured"][name]
        assert estimate["mean"] == pytest.approx(total / len(qrels), abs=1e-6), name
        assert 0 <= estimate["low"] <= estimate["mean"] <= estimate["high"] <= 1


def test_every_figure_of_the_papers_is_printed_in_one_of_its_tables() -> None:
    columns = [column.key for column in MAIN_COLUMNS]
    tables = [published(name) for name in ("table2", "table6", "table7")]
    allowed = {(column, float(value)) for one in tables for column in columns if column in one for value in one[column]}
    for row in (*table().rows, *table().paper_only):
        assert set((row.published or {}).items()) <= allowed


def test_every_stage_is_listed_with_what_it_cost(smoke: Results) -> None:
    stages = smoke.report["stages"]
    assert len(stages) == STAGES == len(list(smoke.folder.glob("jobs/*/*/manifest.json")))
    for stage in stages:
        job = smoke.job(stage["name"])
        manifest = json.loads((job / "manifest.json").read_text())
        assert stage["state"] == "finished" and stage["attempts"] == len(manifest["attempts"]) == 1
        assert stage["seconds"] == pytest.approx(sum(attempt["seconds"] for attempt in manifest["attempts"]))
        assert stage["peak_memory_bytes"] > 10_000_000
        assert not (job / "work").exists()
    trained = [stage["name"] for stage in stages if stage["name"] in smoke.report["losses"]]
    assert len(trained) == 9
    assert all(len(smoke.report["losses"][name]) > 1 for name in trained)


def test_nothing_names_this_machines_folders(smoke: Results) -> None:
    for path in (smoke.folder / "smoke").iterdir():
        text = path.read_text(encoding="utf-8")
        assert (found := ABSOLUTE.search(text)) is None, (path.name, text[found.start() - 80 : found.end() + 80])
        assert str(smoke.folder) not in text


def test_provenance_names_runs_seeds_and_data(smoke: Results) -> None:
    provenance = smoke.report["provenance"]
    assert provenance["method"]["runs"] == smoke.runs()
    assert set(provenance["method"]["stages"]) == {stage["name"] for stage in smoke.report["stages"]}
    assert provenance["method"]["seeds"]
    assert provenance["data"]["test collection"]["fingerprint"] == open_collection("insuranceqa-smoke").fingerprint()
    assert provenance["implementation"]["executable"]["cmd"].startswith("python -m repro.table2 --scale smoke")


@pytest.fixture(scope="session")
def second(
    smoke: Results, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Results, subprocess.CompletedProcess[str]]:
    """A second run, over a copy."""
    copy = smoke.copy(tmp_path_factory.mktemp("second") / "results")
    jobs = listing(copy.folder / "jobs")
    ran = table2("--results", str(copy.folder))
    assert listing(copy.folder / "jobs") == jobs
    return copy, ran


def test_a_second_run_runs_nothing_and_measures_the_same(
    smoke: Results, second: tuple[Results, subprocess.CompletedProcess[str]]
) -> None:
    again, ran = second
    assert ran.returncode == 0 and ran.stderr == ""
    changing = ("stages", "notes", "provenance", "warnings")
    assert {name: value for name, value in again.report.items() if name not in changing} == {
        name: value for name, value in smoke.report.items() if name not in changing
    }
    assert all(stage["reused"] for stage in again.report["stages"])
    assert not any(stage["reused"] for stage in smoke.report["stages"])


def test_the_table_is_printed(second: tuple[Results, subprocess.CompletedProcess[str]]) -> None:
    _, ran = second
    for row in table().rows:
        assert row.label in ran.stdout
    assert "RR@10" in ran.stdout and "paper" in ran.stdout
    assert re.search(r"^report: .*table2\.md$", ran.stdout, re.MULTILINE)


def test_a_dry_run_lists_every_stage_and_writes_nothing(
    smoke: Results, dry_run: Callable[..., str], tmp_path: Path
) -> None:
    before = listing(smoke.folder)
    printed = dry_run("table2", results=smoke.folder)
    assert listing(smoke.folder) == before
    for stage in smoke.report["stages"]:
        found = [line for line in printed.splitlines() if stage["identifier"][:12] in line]
        assert len(found) == 1 and stage["name"] in found[0] and "finished" in found[0]
    assert f"0 of {STAGES} stages to do" in printed
    printed = dry_run("table2", results=tmp_path / "none")
    assert printed.count("to do: new") == STAGES and f"{STAGES} of {STAGES} stages to do" in printed
    assert list(tmp_path.iterdir()) == []


def test_some_rows_are_measured_alone_from_the_same_stages(smoke: Results, tables: Results) -> None:
    report = tables.twin("table2")
    measured = {row["key"]: row["measured"] for row in report["rows"] if row["measured"]}
    assert list(measured) == ["bm25", "simlm-1"]
    assert measured.items() <= smoke.measured().items()
    assert all(stage["reused"] for stage in report["stages"]) and len(report["stages"]) < STAGES
    assert any("Only some rows" in warning for warning in report["warnings"])
