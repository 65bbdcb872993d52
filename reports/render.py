"""Render a report as Markdown."""

import html
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports import tables
from reports.facts import Case, CasePassage
from reports.markdown import count, escape, listed, number, table
from reports.model import ALPHA, CONFOUNDED, PAPER_SCALE, Report
from reports.page import Page, Section

_SHOWN = 240
"""Characters of a passage that a case shows."""


def plots_of(report: Report | Page) -> list[str]:
    """Return which plots a report has figures for, as the ends of their files' names."""
    if not isinstance(report, Report):
        return []
    drawn = {"curves": report.curves, "bars": report.measured_rows(), "losses": report.losses}
    return [plot for plot, figures in drawn.items() if figures]


def render(report: Report | Page, name: str) -> str:
    """Return a report's page. `name` is how the files of its plots begin."""
    environment = Environment(
        loader=PackageLoader("reports"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: every text goes through markdown.escape
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    if isinstance(report, Report):
        template, variables = "table.md.j2", _of_report(report, name)
    else:
        template, variables = "page.md.j2", _of_page(report)
    text = environment.get_template(template).render(_of_both(report, name) | variables)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def quote(report: Report) -> str:
    """Return a report in short, as README quotes it: the measured rows, and what became of the paper's orders."""
    first, *others = report.measures
    paper = report.columns[0]
    lines = [
        [
            escape(row.label),
            f"{row.measured[first].mean:.3f} [{row.measured[first].low:.3f}, {row.measured[first].high:.3f}]",
            *(number(row.measured[measure].mean, 3) for measure in others),
            number((row.published or {}).get(paper.key), 1),
        ]
        for row in report.rows
        if row.measured is not None
    ]
    introduction = (
        f"Measured on {count(report.collection.queries)} {report.collection.split} questions of "
        f"{report.collection.name} at {report.scale} scale, beside the paper's {paper.figure} on {paper.place} (in "
        "percent, for order and gaps only):"
    )
    head = ["row", f"{first} [95 %]", *others, f"paper {paper.figure}"]
    return "\n\n".join([_wrapped(introduction), table(head, lines), _wrapped(_verdicts(report))])


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _of_both(report: Report | Page, name: str) -> dict[str, Any]:
    """Return the variables that the templates of reports and pages share."""
    return {
        "title": escape(report.title),
        "scale": escape(report.scale),
        "warnings": [escape(warning) for warning in [*report.warnings, *_source_warnings(report)]],
        "stages": tables.stages(report.stages),
        "total_cost": tables.total_cost(report.stages),
        "provenance": tables.provenance(report.provenance),
        "identities": tables.identities(report.provenance),
        "notes": [escape(note) for note in report.notes],
        "twin": f"{name}.json",
    }


def _of_page(page: Page) -> dict[str, Any]:
    """Return what the template of a page shows besides."""

    def shown(section: Section) -> dict[str, Any]:
        return {
            "heading": escape(section.heading),
            "text": escape(section.text),
            "table": tables.lines(section),
            "cases": [_case(case, lambda label: label) for case in section.cases],
        }

    return {
        "introduction": escape(page.introduction),
        "sections": [shown(section) for section in page.sections],
        "staged": bool(page.stages),
    }


def _of_report(report: Report, name: str) -> dict[str, Any]:
    """Return what the template of a table of runs shows besides."""
    drawn = plots_of(report)
    return {
        "collections": [_collection(section) for section in report.by_group()],
        "ours": listed(
            [
                f'"{escape(section.collection.name)} {escape(section.collection.split)}, {escape(report.scale)}"'
                for section in report.by_group()
            ]
        ),
        "alpha": ALPHA,
        "comparable": report.papers_own,
        "printed": report.scale == PAPER_SCALE,
        "places": escape(listed([*dict.fromkeys(column.place for column in report.columns)])),
        "effectiveness": tables.effectiveness(report),
        "marks": tables.marks(report) if report.marks else "",
        "fair": report.comparable,
        "footnotes": [escape(row.note) for row in report.rows if row.note],
        "verdicts": _verdicts(report),
        "claims": tables.claims(report) if report.claims else "",
        "ordered": report.ordered,
        "ratios": any(claim.effect_ratio is not None for claim in report.claims),
        "contradictions": [escape(sentence) for sentence in report.contradictions],
        "images": {plot: f"{name}-{plot}.svg" if plot in drawn else "" for plot in ("curves", "bars", "losses")},
        "efficiency": tables.efficiency(report),
        "cases": [_case(case, lambda key: report.row(key).label) for case in report.cases],
        "hyperparameters": tables.hyperparameters(report) if report.hyperparameters or not report.marks else "",
        "tuning": tables.tuning(report) if report.tuning else "",
        "facts": tables.facts(report),
        "statistics": _statistics(report),
        "intervals": tables.intervals(report),
        "comparisons": tables.comparisons(report) if report.comparisons else "",
        "runs": tables.runs(report) if any(row.run or row.per_query for row in report.rows) else "",
    }


def _collection(report: Report) -> str:
    """Return in words what rows were measured on."""
    facts = report.collection
    return (
        f"Measured on {escape(facts.name)}, split *{escape(facts.split)}*: {count(facts.passages)} passages, "
        f"{count(facts.queries)} queries.\n{escape(facts.description)}"
    )


def _verdicts(report: Report) -> str:
    """Return a sentence that says how many of the paper's orders got each verdict."""
    total = len(report.claims)
    counts = Counter(claim.verdict for claim in report.claims)
    order = (
        "reproduced",
        "same order, not significant",
        "no difference",
        "opposite order, not significant",
        "contradicted",
        CONFOUNDED,
        "not testable at this scale",
    )
    parts = [f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict]]
    void = [*dict.fromkeys(escape(claim.void) for claim in report.claims if claim.void)]
    if len(void) == 1:
        void = [void[0].removeprefix("re-ranker: ")]  # the sentence names it already
    reasons = f" Not testable, as the re-ranker learnt nothing: {'; '.join(void)}." if void else ""
    if counts[CONFOUNDED]:
        reasons += " Confounded: a row stands on a public model that the paper did not start from, as the notes say."
    return f"Of {total} orders that the paper reports between rows of this table: {'; '.join(parts)}.{reasons}"


def _source_warnings(report: Report | Page) -> list[str]:
    """Return a warning where the commit does not tell what code ran."""
    source = report.provenance.get("implementation", {}).get("source", {})
    if source.get("dirty"):
        return ["Made from a working tree with uncommitted changes; the commit below is not all that ran."]
    return []


def _statistics(report: Report) -> str:
    """Return in words how the figures were computed."""
    s = report.statistics
    if not s:
        return "No row was measured."
    graded = any("rel=" in measure for section in report.by_group() for measure in section.measures)
    meaning = "rel=2 means that passages are relevant from grade 2 on. " if graded else ""
    return escape(
        f"Measures are those of ir_measures, computed from the run files; a query that a run lacks counts 0. "
        f"{meaning}Means are over {_queries(s['queries'])}. Intervals: {s['interval']}, {count(s['resamples'])} "
        f"resamples of the queries, seed {s['seed']}; intervals of differences resample the same queries for "
        f"both rows. Tests: {s['test']} (Urbano et al., SIGIR 2019; Ihemelandu and Ekstrand, SIGIR 2023). "
        f"Correction: {s['correction']}. All of this is uncertainty over queries; what another training "
        f"seed would give is not in the intervals."
    )


def _queries(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return f"{count(next(iter(counts.values())))} queries"
    return listed([f"{count(number)} queries of {name}" for name, number in counts.items()])


def _case(case: Case, label: Callable[[str], str]) -> dict[str, Any]:
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
                "row": escape(label(result.row)),
                "first": "no relevant passage retrieved"
                if result.first_relevant_rank is None
                else f"first relevant passage at rank {result.first_relevant_rank}",
                "passages": [shown(passage) for passage in result.passages],
            }
            for result in case.results
        ],
    }
