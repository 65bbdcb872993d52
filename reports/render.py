"""Writes a report: Markdown for people, JSON for programs, plots as SVG."""

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports import plots, tables
from reports.files import write_atomically
from reports.markdown import count, escape
from reports.model import ALPHA, Case, CasePassage, Report

_SHOWN = 240
"""Characters of a passage that a case shows."""


def write_report(report: Report, folder: Path, name: str = "table2") -> list[Path]:
    """Writes `name`.md, `name`.json, and `name`-bars.svg and `name`-losses.svg where there is data to plot.

    Returns the files written, the Markdown first. Each is replaced at once; the same report gives the same
    bytes. Raises KeyError if a comparison, claim, tuning or case names a row that the report does not have.
    """
    images: dict[str, bytes] = {}
    if report.measured_rows():
        images[f"{name}-bars.svg"] = plots.as_svg(plots.bars(report))
    if report.losses:
        images[f"{name}-losses.svg"] = plots.as_svg(plots.losses(report))
    page = render(report, name, images)
    twin = json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {f"{name}.md": page.encode(), f"{name}.json": twin.encode(), **images}
    for file, content in contents.items():
        write_atomically(folder / file, content)
    return [folder / file for file in contents]


def render(report: Report, name: str, images: Iterable[str] = ()) -> str:
    """The report as Markdown; `images` are the plots' file names beside it."""
    environment = Environment(
        loader=PackageLoader("reports"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: every text goes through markdown.escape
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    text = environment.get_template("table2.md.j2").render(_variables(report, name, set(images)))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _variables(report: Report, name: str, images: set[str]) -> dict[str, Any]:
    """What the template shows, Markdown throughout."""
    bars, losses = f"{name}-bars.svg", f"{name}-losses.svg"
    return {
        "title": escape(report.title),
        "scale": escape(report.scale),
        "collections": [_collection(section) for section in report.by_group()],
        "ours": _listed(
            f'"{escape(section.collection.name)} {escape(section.collection.split)}, {escape(report.scale)}"'
            for section in report.by_group()
        ),
        "alpha": ALPHA,
        "places": escape(_listed(dict.fromkeys(column.place for column in report.columns))),
        "warnings": [escape(warning) for warning in [*report.warnings, *_source_warnings(report)]],
        "effectiveness": tables.effectiveness(report),
        "footnotes": [escape(row.note) for row in report.rows if row.note],
        "verdicts": _verdicts(report),
        "claims": tables.claims(report) if report.claims else "",
        "contradictions": [escape(sentence) for sentence in report.contradictions],
        "bars": bars if bars in images else "",
        "losses": losses if losses in images else "",
        "stages": tables.stages(report),
        "total_cost": tables.total_cost(report),
        "efficiency": tables.efficiency(report),
        "cases": [_case(report, case) for case in report.cases],
        "hyperparameters": tables.hyperparameters(report),
        "tuning": tables.tuning(report) if report.tuning else "",
        "facts": tables.facts(report),
        "statistics": _statistics(report),
        "intervals": tables.intervals(report),
        "comparisons": tables.comparisons(report) if report.comparisons else "",
        "provenance": tables.provenance(report),
        "runs": tables.runs(report) if any(row.run or row.per_query for row in report.rows) else "",
        "notes": [escape(note) for note in report.notes],
        "twin": f"{name}.json",
    }


def _collection(report: Report) -> str:
    """What rows were measured on, in words."""
    facts = report.collection
    return (
        f"Measured on {escape(facts.name)}, split *{escape(facts.split)}*: {count(facts.passages)} passages, "
        f"{count(facts.queries)} queries.\n{escape(facts.description)}"
    )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _verdicts(report: Report) -> str:
    """One sentence that counts what became of the paper's orders."""
    total = len(report.claims)
    counts = Counter(claim.verdict for claim in report.claims)
    order = (
        "reproduced",
        "same order, not significant",
        "no difference",
        "opposite order, not significant",
        "contradicted",
    )
    parts = [f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict]]
    return f"Of {total} orders that the paper reports between rows of this table: {'; '.join(parts)}."


def _source_warnings(report: Report) -> list[str]:
    """Says so where the commit in the provenance does not name the code that ran."""
    source = report.provenance.get("implementation", {}).get("source", {})
    if source.get("dirty"):
        return ["Made from a working tree with uncommitted changes; the commit below is not all that ran."]
    return []


def _statistics(report: Report) -> str:
    """How the figures were computed, in words."""
    s = report.statistics
    if not s:
        return "No row was measured."
    return escape(
        f"Measures are those of ir_measures, computed from the run files; a query that a run lacks counts 0. "
        f"Means are over {_queries(s['queries'])}. Intervals: {s['interval']}, {count(s['resamples'])} "
        f"resamples of the queries, seed {s['seed']}; intervals of differences resample the same queries for "
        f"both rows. Tests: {s['test']} (Urbano et al., SIGIR 2019; Ihemelandu and Ekstrand, SIGIR 2023). "
        f"Correction: {s['correction']}. All of this is uncertainty over queries; what another training "
        f"seed would give is not in the intervals."
    )


def _queries(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return f"{count(next(iter(counts.values())))} queries"
    return _listed(f"{count(number)} queries of {name}" for name, number in counts.items())


def _case(report: Report, case: Case) -> dict[str, Any]:
    def shown(passage: CasePassage) -> dict[str, Any]:
        text = " ".join(passage.text.split())
        cut = text if len(text) <= _SHOWN else text[:_SHOWN].rsplit(" ", 1)[0] + " …"
        return {"id": escape(passage.id), "text": escape(cut), "relevant": passage.relevant}

    query = html.escape(" ".join(case.query.split()), quote=False)  # for <summary>, which is HTML
    return {
        "query": query.replace("$", "&#36;"),
        "relevant": [shown(passage) for passage in case.relevant],
        "results": [
            {
                "row": escape(report.row(result.row).label),
                "first": "no relevant passage retrieved"
                if result.first_relevant_rank is None
                else f"first relevant passage at rank {result.first_relevant_rank}",
                "passages": [shown(passage) for passage in result.passages],
            }
            for result in case.results
        ],
    }
