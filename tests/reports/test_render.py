"""The page, its twin and the plots."""

import json
import re
from pathlib import Path

import pytest

from reports.files import read_report, write_report
from reports.model import MAIN_COLUMNS, Report
from reports.render import render


def tables(page: str) -> list[list[list[str]]]:
    """Every Markdown table of a page as lines of cells, header and rule included."""
    found: list[list[list[str]]] = []
    inside = False
    for line in page.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not inside:
                found.append([])
            found[-1].append(cells)
        inside = line.startswith("|")
    return found


def main_table(report: Report) -> list[dict[str, str]]:
    header, _, *lines = tables(render(report, "table2"))[0]
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_every_table_is_well_formed(report: Report) -> None:
    found = tables(render(report, "table2"))
    assert len(found) >= 9
    for lines in found:
        assert len({len(line) for line in lines}) == 1, lines[0]
        assert all(re.fullmatch(r":?-+:?", cell) for cell in lines[1])


def test_measured_and_published_columns_never_mix(report: Report) -> None:
    lines = main_table(report)
    assert len(lines) == len(report.rows)
    for row, line in zip(report.rows, lines, strict=True):
        ours = [cell for head, cell in line.items() if head.startswith(("toy test, smoke", "Δ"))]
        theirs = [cell for head, cell in line.items() if head.startswith("paper")]
        assert len(ours) + len(theirs) + 1 == len(line)
        published = row.published or {}
        assert theirs == [f"{published[one.key]:.1f}" if one.key in published else "–" for one in MAIN_COLUMNS]
        if row.measured is None:
            assert set(ours) == {"–"}
            assert "(paper only)" in line["row"]
        else:
            means = [cell.split(" ")[0] for cell in ours[: len(report.measures)]]
            assert means == [f"{row.measured[measure].mean:.4f}" for measure in report.measures]
            assert "(paper only)" not in line["row"]


def test_the_page_says_what_the_data_says(report: Report) -> None:
    page = render(report, "table2")
    assert page.index("**The two are not comparable") < page.index("## What reproduced")
    assert "1 reproduced; 1 contradicted" in page
    assert r"BM25 \| default" in page
    assert "no relevant passage retrieved" in page and "first relevant passage at rank 1" in page
    assert "Energy could not be read" in page
    assert "4 min 30 s" in page  # 190 s and 80 s
    assert "$" not in page and "<b>" not in page
    assert "<summary>Is &lt;this&gt; a &#36;5 query?</summary>" in page


def test_uncommitted_changes_are_said_at_the_top(report: Report) -> None:
    assert "uncommitted" not in render(report, "table2")
    report.provenance["implementation"]["source"]["dirty"] = True
    assert "uncommitted changes" in render(report, "table2").split("| row |")[0]


def test_a_report_is_read_back_from_its_json(report: Report, grouped: Report, written: Path) -> None:
    file = written / "table2.json"
    assert read_report(file) == report
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(report.as_dict()))
    assert found["rows"][3]["measured"] is None
    assert found["rows"][0]["per_query"] == {"path": "runs/bm25.csv", "sha256": "cd" * 32}
    assert [claim["verdict"] for claim in found["claims"]] == ["reproduced", "contradicted"]
    file.write_text(json.dumps(grouped.as_dict()), encoding="utf-8")
    assert read_report(file) == grouped
    for later in ("groups", "ordered", "marks", "comparable"):
        del found[later]  # an older report has none of these
    file.write_text(json.dumps(found), encoding="utf-8")
    assert read_report(file) == report


def test_the_same_report_gives_the_same_bytes(report: Report, written: Path, tmp_path: Path) -> None:
    again = write_report(report, tmp_path / "again", "table2")
    names = ["table2.md", "table2.json", "table2-bars.svg", "table2-losses.svg"]
    assert [path.name for path in again] == names
    assert sorted(path.name for path in written.iterdir()) == sorted(names)
    assert all(path.read_bytes() == (written / path.name).read_bytes() for path in again)


def test_images_of_the_page_exist_and_hold_no_dates(written: Path) -> None:
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (written / "table2.md").read_text(encoding="utf-8"))
    assert len(images) == 2
    for image in images:
        text = (written / image).read_text(encoding="utf-8")
        assert text.lstrip().startswith("<?xml") and "dc:date" not in text


def test_nothing_measured_is_still_a_report(report: Report, tmp_path: Path) -> None:
    empty = Report(report.title, report.scale, report.collection, [report.row("ance")], report.measures, provenance={})
    written = write_report(empty, tmp_path, "table2")
    assert [path.name for path in written] == ["table2.md", "table2.json"]
    assert "No row was measured" in written[0].read_text(encoding="utf-8")


def test_a_value_that_json_does_not_know_leaves_the_old_report(report: Report, written: Path) -> None:
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    report.stages[0].seconds = float("nan")
    with pytest.raises(ValueError):
        write_report(report, written, "table2")
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


def test_every_group_is_a_table_of_its_own(grouped: Report, tmp_path: Path) -> None:
    page = write_report(grouped, tmp_path, "table10")[0].read_text(encoding="utf-8")
    first, second = tables(page)[:2]
    assert [line[0] for line in first[2:]] == ["one, base", "one, SimLM"]
    assert [line[0] for line in second[2:]] == ["two, base", "two, SimLM<sup>1</sup>"]
    assert any(head.startswith("toy test, smoke") for head in first[0])
    assert all(head.startswith(("row", "second test, smoke", "Δ R@50", "paper, NQ test")) for head in second[0])
    assert "Measured on toy, split *test*: 300 passages" in page and "Measured on second, split" in page
    assert "60 queries of toy and 60 queries of second" in page
    assert (tmp_path / "table10-bars.svg").is_file()


def test_a_table_without_orders_says_so_and_one_whose_rows_were_not_measured_does_not(report: Report) -> None:
    report.claims = []
    assert "the rows it needs were not measured" in render(report, "table2")
    report.ordered = False
    page = render(report, "table2")
    assert "not measured" not in page and "The paper reports no order of this table's rows." in page


def test_what_made_each_stage_is_a_table_of_its_own(report: Report) -> None:
    page = render(report, "table2")
    (made,) = [lines for lines in tables(page) if lines[0][:2] == ["stage", "class, version"]]
    assert made[2] == [
        "pre-training",
        "Pretrained 2",
        *(f"`{one}`" for one in ("0123456789ab", "1f" * 6, "2f" * 6)),
        "`" + "3f" * 6 + "`",
        "`" + "cd" * 6 + "`",
    ]
    assert made[3][1] == made[3][3] == made[3][5] == "–", "an older report says less"
    assert "method · seed" in page and "method · stages" not in page
