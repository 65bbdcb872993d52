"""A page of sections: as Markdown, as JSON, published, and on the terminal."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from reports.facts import Case, CasePassage, CaseResult, StageFacts
from reports.files import publish, read_report, write_report
from reports.page import Link, Page, Section
from reports.render import render
from reports.terminal import print_report
from tests.reports.test_render import tables


@pytest.fixture
def page() -> Page:
    case = Case("q1", "Is <this> it?", [], [CaseResult("BM25 | k1", [CasePassage("p1", "$20 | *m*", True)], 1)])
    return Page(
        title="Table 3: sizes",
        scale="smoke",
        introduction="A toy | of <b>three</b>.",
        sections=[
            Section("Bytes", [{"index": "a | b", "bytes": 1234567, "paper": "27GB"}], "Text with a *star*."),
            Section(
                "Cases",
                [{"question": "Is it?", "rank": None, "RR@10": 0.5}, {"question": "?", "rank": 3, "RR@10": 1.0}],
                cases=[case],
            ),
            Section("None", []),
        ],
        stages=[StageFacts("pre-training", "0123456789abcdef", 190.0)],
        warnings=["Made up."],
        notes=["One | note."],
        provenance={"implementation": {"source": {"commit": "abc", "dirty": True}}},
    )


def test_a_page_shows_its_sections_in_order(page: Page) -> None:
    text = render(page, "table3")
    first, second, *_ = tables(text)
    assert first == [["index", "bytes", "paper"], [":---", "---:", ":---"], [r"a \| b", "1,234,567", "27GB"]]
    assert second[1:] == [[":---", "---:", "---:"], ["Is it?", "–", "0.5000"], ["?", "3", "1.0000"]]
    assert all(len({len(line) for line in lines}) == 1 for lines in tables(text))
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert headings == ["Table 3: sizes", "Bytes", "Cases", "None", "Pipeline and cost", "Provenance", "Notes"]
    assert r"Text with a \*star\*." in text and r"**BM25 \| k1**, first relevant passage at rank 1:" in text
    assert "> **Note.** Made up." in text and "uncommitted changes" in text
    assert "<b>" not in text and "$" not in text and "<summary>Is &lt;this&gt; it?</summary>" in text


def test_a_page_without_stages_lists_none(page: Page) -> None:
    page.stages = []
    assert "Pipeline and cost" not in render(page, "table11")


def test_the_json_has_the_values_themselves(page: Page, tmp_path: Path) -> None:
    page.sections[0].rows[0]["page"] = Link("Table 2", "table2.md")
    written = write_report(page, tmp_path, "table3")
    assert [path.name for path in written] == ["table3.md", "table3.json"]
    found = json.loads(written[1].read_text(encoding="utf-8"))
    assert found["sections"][0]["rows"][0] | {"page": None} == page.sections[0].rows[0] | {"page": None}
    assert read_report(written[1]) == page
    copied = publish(tmp_path, "table3", "smoke", tmp_path / "reports")
    assert [path.read_bytes() for path in sorted(copied)] == [path.read_bytes() for path in sorted(written)]


def test_the_terminal_shows_every_line(page: Page) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    print_report(page, console)
    text = console.export_text()
    for cell in ("a | b", "1,234,567", "27GB", "0.5000", "–"):
        assert cell in text
