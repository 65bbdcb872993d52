"""The index of a scale's reports."""

from pathlib import Path
from typing import Any

import pytest

from reports.files import write_report
from reports.page import Link, Page, Section
from repro import index
from repro.command import Options
from simlm.errors import UserError
from simlm.workflow.sources import sources_digest

MODULES = ["simlm.evaluation.measures"]


def stage(**more: Any) -> dict[str, Any]:
    return {"identifier": "ab", "outputs": "cd", "commit": "0123", **more}


NEW, OLDER, UNKNOWN = (
    stage(modules=MODULES, sources=sources_digest(tuple(MODULES))),
    stage(modules=MODULES, sources="0" * 64),
    stage(),
)


def test_the_index_leads_to_every_report_and_counts_its_verdicts(tmp_path: Path) -> None:
    for name in ("claims", "table10", "table2"):
        page = Page(f"Page {name}", "mini", "", [Section("Orders", [{"verdict": "supported"}] * 2)])
        page.provenance = {"implementation": {"source": {"commit": "0123456789abcdef"}}}
        write_report(page, tmp_path, name)
    found = index.index(tmp_path, "mini")
    (section,) = found.sections
    assert [line["report"] for line in section.rows] == [
        Link(f"Page {name}", f"{name}.md") for name in ("claims", "table2", "table10")
    ]
    assert {line["verdicts"] for line in section.rows} == {"2 supported"}
    assert {line["commit"] for line in section.rows} == {"0123456789ab"}
    assert {line["code"] for line in section.rows} == {None}
    written, *_ = write_report(found, tmp_path, "index")
    assert "](table10.md)" in written.read_text(encoding="utf-8")


def test_the_index_of_a_precision_is_of_its_reports(tmp_path: Path) -> None:
    options = Options(scale="smoke", precision="float32", results=tmp_path)
    page = Page("Page table2", "smoke", "", [])
    page.provenance = {"implementation": {"source": {}}}
    write_report(page, tmp_path / "smoke" / "float32", "table2")
    index.run(options)
    assert (tmp_path / "smoke" / "float32" / "index.md").exists()
    with pytest.raises(UserError, match="there is no report"):
        index.run(Options(scale="smoke", results=tmp_path))


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({}, None),
        ({"BM25": NEW, "base": NEW}, "as today"),
        ({"BM25": NEW, "base": OLDER}, "older: base"),
        ({name: OLDER for name in "abcde"}, "older: a, b, c and 2 more"),
        ({"BM25": stage(modules=["simlm.no.such"], sources="1" * 64)}, "older: BM25"),
        ({"BM25": UNKNOWN}, "made before digests were recorded, commit 0123"),
        ({"BM25": UNKNOWN, "base": NEW}, "made before digests were recorded: BM25"),
        ({"BM25": UNKNOWN, "base": OLDER}, "older: base; made before digests were recorded: BM25"),
    ],
)
def test_the_index_says_what_older_code_made(stages: dict[str, Any], said: str | None) -> None:
    assert index.made_by(stages, "0123") == said


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"title": "x", "claims": [{}], "provenance": null}'])
def test_a_folder_without_reports_or_with_a_damaged_one_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "table2.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="no report"):
        index.index(tmp_path, "mini")


def test_the_index_refuses_what_it_does_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--rows changes nothing in index"):
        index.run(Options(rows=("bm25",), results=tmp_path))
