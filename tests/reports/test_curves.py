"""Plots of rows along a quantity, and orders that the paper draws or tells without figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from reports import plots
from reports.assess import Order, assess
from reports.facts import Curve, Curves
from reports.files import write_report
from reports.model import Report, Row
from reports.terminal import print_report
from tests.reports.conftest import per_query

MEASURE = "RR@10"
ROWS = {"base": 0.2, "a1": 0.3, "a2": 0.6, "b1": 0.5, "b2": 0.4}


@pytest.fixture
def drawn(report: Report) -> Report:
    """A figure of two curves; one row of it, "b3", was not asked for."""
    values = {key: per_query(mean, seed) for seed, (key, mean) in enumerate(ROWS.items())}
    report.rows = [Row(key, f"row {key}") for key in values]
    report.columns, report.baselines, report.cases, report.tuning, report.losses = [], ["base"], [], [], {}
    lines = {"A": {0: "base", 75: "a1", 600: "a2"}, "B": {0: "base", 75: "b1", 600: "b2", 900: "b3"}}
    report.curves = Curves("updates", [Curve(name, list(points.items())) for name, points in lines.items()], "base")
    orders = [("b1", "a1"), ("b2", "a2"), ("b3", "a2")]
    assess(report, values, [Order(lower, higher, "Figure 3") for lower, higher in orders])
    return report


def test_curves_are_drawn_where_the_report_says(drawn: Report) -> None:
    assert drawn.curves is not None
    (axes,) = plots.curves(drawn).axes
    assert [container.get_label() for container in axes.containers] == ["A", "B"]
    for line, container in zip(drawn.curves.lines, axes.containers, strict=True):
        points = [(x, (drawn.row(key).measured or {})[MEASURE]) for x, key in line.points if key != "b3"]
        assert isinstance(container, ErrorbarContainer)
        data, _, (bars,) = container.lines
        assert np.asarray(data.get_xdata()).tolist() == [x for x, _ in points]
        assert np.asarray(data.get_ydata()).tolist() == [e.mean for _, e in points]
        for (x, estimate), segment in zip(points, bars.get_segments(), strict=True):
            assert segment[:, 0] == pytest.approx([x, x])
            assert segment[:, 1] == pytest.approx([estimate.low, estimate.high])
    (level,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert set(np.asarray(level.get_ydata())) == {(drawn.row("base").measured or {})[MEASURE].mean}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("updates", MEASURE)


def test_a_name_is_no_formula(drawn: Report, recwarn: pytest.WarningsRecorder) -> None:
    """And a letter that the font lacks is no news."""
    drawn.collection.name = "price_$5_to_$10_資"
    for plot in (plots.curves, plots.bars):
        assert b"price_$5_to_$10" in plots.as_svg(plot(drawn))
    assert not recwarn.list


def test_without_its_row_there_is_no_level_and_without_any_an_empty_plot(drawn: Report) -> None:
    assert drawn.curves is not None
    drawn.rows = [row for row in drawn.rows if row.key in ("a1", "a2")]
    (axes,) = plots.curves(drawn).axes
    assert not [line for line in axes.lines if line.get_linestyle() == "--"]
    first, second = axes.containers
    assert isinstance(first, ErrorbarContainer) and isinstance(second, ErrorbarContainer)
    assert np.asarray(first.lines[0].get_xdata()).tolist() == [75, 600]
    assert np.asarray(second.lines[0].get_xdata()).tolist() == []


def test_orders_without_figures_have_verdicts_and_no_ratio(drawn: Report) -> None:
    broken, kept = drawn.claims
    assert [claim.verdict for claim in drawn.claims] == ["contradicted", "reproduced"]
    for claim in (broken, kept):
        assert claim.published_lower is None and claim.published_higher is None and claim.effect_ratio is None
    assert drawn.contradictions == []


def test_the_page_shows_them_without_any_paper_column(drawn: Report, tmp_path: Path) -> None:
    written = {path.name: path for path in write_report(drawn, tmp_path, "figure3")}
    page = written["figure3.md"].read_text(encoding="utf-8")
    assert "](figure3-curves.svg)" in page
    assert written["figure3-curves.svg"].read_bytes() == plots.as_svg(plots.curves(drawn)), "the same bytes each time"
    assert "paper, " not in page and "prints none of them" in page and "not comparable" not in page
    assert "The effect ratio (" not in page and "No two rows that both" not in page
    (line,) = [line for line in page.splitlines() if line.startswith("| row a2 | row b2 |")]
    assert [cell.strip() for cell in line.split("|")][4] == "–" and "**reproduced**" in line
    twin = json.loads(written["figure3.json"].read_text(encoding="utf-8"))
    assert twin["curves"]["lines"][0] == {"label": "A", "points": [[0, "base"], [75, "a1"], [600, "a2"]]}
    assert [claim["published_lower"] for claim in twin["claims"]] == [None, None]


def test_the_terminal_has_no_paper_column(drawn: Report, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(drawn)
    printed = capsys.readouterr().out
    assert "prints no figures" in " ".join(printed.split()) and "MS MARCO" not in printed
