"""Draw the plots of a report: the same bytes of SVG for the same numbers."""

import io
import warnings
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.model import Report

COLOURS = {"sparse": "#999999", "dense": "#0072B2", "reranker": "#D55E00", "fusion": "#009E73"}
"""A colour for each kind of row, from Okabe and Ito's palette, which everyone can tell apart."""

KIND_LABELS = {"sparse": "lexical", "dense": "dense retriever", "reranker": "re-ranker", "fusion": "fusion"}
MARKERS = {"#0072B2": "o", "#D55E00": "s", "#009E73": "^"}
"""The colours of curves, from the same palette, with their markers."""
_POINTS = 400
"""How many points of a loss curve are drawn at most."""


def _style() -> dict[Any, Any]:
    return {
        "svg.hashsalt": "simlm",
        "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": "white",
        "text.parse_math": False,  # names are no formulas, whatever dollar signs they have
    }


def bars(report: Report) -> Figure:
    """Draw the first measure of every measured row with its 95 % interval, from top to bottom; groups are panels."""
    rows = report.measured_rows()
    sections = [section for section in report.by_group() if section.measured_rows()]
    heights = [len(section.measured_rows()) for section in sections]
    with matplotlib.rc_context(_style()):
        figure = Figure(figsize=(8, 0.5 + 0.8 * len(sections) + 0.38 * len(rows)), layout="constrained")
        panels = figure.subplots(len(sections), squeeze=False, height_ratios=heights)
        for axes, section in zip(panels[:, 0], sections, strict=True):
            _bars(axes, section)
        kinds = [kind for kind in COLOURS if any(row.kind == kind for row in rows)]
        figure.legend(
            handles=[Patch(color=COLOURS[kind], label=KIND_LABELS[kind]) for kind in kinds],
            loc="outside upper center",
            ncols=len(kinds),
            frameon=False,
        )
    return figure


def curves(report: Report) -> Figure:
    """Draw the first measure of rows along a quantity with 95 % intervals, and the level as a dashed line across.

    Rows that were not measured are left out.
    """
    drawn = report.curves
    assert drawn is not None, "only a report that says where its rows lie has this plot"
    measure = report.measures[0]
    known = {row.key: row.measured[measure] for row in report.rows if row.measured is not None}
    with matplotlib.rc_context(_style()):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for line, (colour, marker) in zip(drawn.lines, MARKERS.items(), strict=False):
            points = [(x, known[key]) for x, key in line.points if key in known]
            means = [e.mean for _, e in points]
            ends = [[max(0.0, e.mean - e.low) for _, e in points], [max(0.0, e.high - e.mean) for _, e in points]]
            axes.errorbar(
                [x for x, _ in points],
                means,
                yerr=ends if points else None,
                label=line.label,
                color=colour,
                marker=marker,
                capsize=3,
                lw=1.5,
            )
        if drawn.level in known:
            label = report.row(drawn.level).label
            axes.axhline(known[drawn.level].mean, color="#999999", ls="--", lw=1.2, label=label, zorder=0)
        axes.grid(axis="y", color="#dddddd", lw=0.8)
        axes.set_xlabel(drawn.axis)
        axes.set_ylabel(measure)
        axes.set_title(f"{report.collection.name} {report.collection.split}, {report.scale} scale", fontsize=10)
        figure.legend(loc="outside upper center", ncols=len(drawn.lines) + 1, frameon=False)
    return figure


def _bars(axes: Axes, report: Report) -> None:
    measure = report.measures[0]
    rows = report.measured_rows()
    estimates = [(row.measured or {})[measure] for row in rows]
    places = range(len(rows))
    axes.barh(places, [e.mean for e in estimates], color=[COLOURS[row.kind] for row in rows], height=0.66)
    below = [max(0.0, e.mean - e.low) for e in estimates]
    above = [max(0.0, e.high - e.mean) for e in estimates]
    axes.errorbar(
        [e.mean for e in estimates],
        places,
        xerr=[below, above],
        fmt="none",
        ecolor="black",
        capsize=3,
        lw=1,
    )
    widest = max((e.high for e in estimates), default=1.0) or 1.0
    for place, e in zip(places, estimates, strict=True):
        axes.text(e.high + 0.012 * widest, place, f"{e.mean:.3f}", va="center", fontsize=9)
    axes.set_yticks(places, [row.label for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * widest)
    axes.grid(axis="x", color="#dddddd", lw=0.8)
    axes.set_xlabel(f"{measure} on {report.collection.name} {report.collection.split}, {report.scale} scale")
    axes.tick_params(axis="y", length=0)


def losses(report: Report) -> Figure:
    """Draw the training loss against steps, a panel for each stage."""
    names = list(report.losses)
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with matplotlib.rc_context(_style()):
        figure = Figure(figsize=(3.1 * columns, 2.3 * lines), layout="constrained")
        for place, name in enumerate(names, start=1):
            axes = figure.add_subplot(lines, columns, place)
            steps, values = _thin(report.losses[name])
            axes.plot(steps, values, color=COLOURS["dense"], lw=1.3, marker="." if len(steps) < 3 else None)
            axes.set_title(name, fontsize=10, loc="left")
            axes.grid(color="#dddddd", lw=0.8)
            axes.margins(x=0.02)
            axes.tick_params(labelsize=8)
            if place > len(names) - columns:
                axes.set_xlabel("step", fontsize=9)
            if (place - 1) % columns == 0:
                axes.set_ylabel("loss", fontsize=9)
    return figure


def _thin(points: list[tuple[int, float]]) -> tuple[list[float], list[float]]:
    """Return steps and losses, as means over windows of one length where there are more points than are drawn."""
    window = -(-len(points) // _POINTS)
    groups = [points[start : start + window] for start in range(0, len(points), window)]
    steps = [sum(step for step, _ in group) / len(group) for group in groups]
    return steps, [sum(loss for _, loss in group) / len(group) for group in groups]


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG without date or random ids; letters are outlines, so that they look alike everywhere."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for the letter
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


DRAWN = {"curves": curves, "bars": bars, "losses": losses}
"""Every plot that a report can have, by the end of its file's name."""
