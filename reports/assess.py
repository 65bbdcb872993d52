"""From per-query values to what a report says of them: estimates, tests, checked orders, contradictions, marks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from reports.model import CheckedOrder, Comparison, Estimate, Mark, Report
from simlm.evaluation import significance
from simlm.evaluation.significance import Improvement, Resampled


class Order(NamedTuple):
    """An order of two rows (keys) that the paper reports, and the table that it is from ("Table 6").

    `with_teacher` says that the order stands on the trained re-ranker, as the better row or as its teacher: it cannot
    be tested where the re-ranker learnt nothing.
    """

    lower: str
    higher: str
    source: str
    with_teacher: bool = False


def assess(report: Report, values: Mapping[str, pd.DataFrame], orders: Sequence[Order] = ()) -> None:
    """Fill a report's estimates, comparisons, claims, contradictions and statistics from per-query values.

    Rows without values stay as they are. A baseline without values is left out, and so is an order of which a row has
    no values or whose rows are of two groups. An order without published figures has no effect ratio.

    Args:
        report: What is filled.
        values: By the rows' keys, frames of `simlm.evaluation.measures.evaluate` with a column for every measure. Rows
            of one group (or all rows of a report without groups) have the same queries.
        orders: What the paper says of the rows.
    """
    if not values:
        return
    sections = [
        (section, {row.key: values[row.key] for row in section.rows if row.key in values})
        for section in report.by_group()
    ]
    measured = [(section, own) for section, own in sections if own]
    assessed = [_assess_section(section, own, orders) for section, own in measured]
    report.comparisons = [comparison for comparisons, _, _ in assessed for comparison in comparisons]
    report.claims = _corrected([claim for _, claims, _ in assessed for claim in claims])
    report.contradictions = [sentence for _, _, sentences in assessed for sentence in sentences]
    names = [section.collection.name for section, _ in measured]
    places = [  # one collection can be here with several splits
        name if names.count(name) == 1 else f"{name} {section.collection.split}"
        for name, (section, _) in zip(names, measured, strict=True)
    ]
    queries = {place: len(next(iter(own.values()))) for place, (_, own) in zip(places, measured, strict=True)}
    report.statistics = {
        "interval": f"bootstrap percentile, {significance.LEVEL:.0%}",
        "resamples": significance.RESAMPLES,
        "seed": significance.SEED,
        "test": "paired two-sided t-test over queries",
        "correction": "Holm, over the rows compared with a baseline by a measure; over all orders checked",
        "queries": queries,
    }


def _assess_section(
    report: Report, values: Mapping[str, pd.DataFrame], orders: Sequence[Order]
) -> tuple[list[Comparison], list[CheckedOrder], list[str]]:
    """Fill the estimates of rows with the same queries; return comparisons, claims and contradictions.

    The p of claims are not corrected yet.
    """
    resampled = Resampled(significance.side_by_side(values, report.measures))
    for row in report.rows:
        if row.key in values:
            row.measured = {
                measure: Estimate(float(values[row.key][measure].mean()), *resampled.interval((row.key, measure)))
                for measure in report.measures
            }
    compared = {key: values[key] for key in values if not report.row(key).reference}
    comparisons = [
        comparison
        for baseline in report.baselines
        if baseline in values
        for measure in report.measures
        for comparison in _comparisons(compared, baseline, measure, resampled)
    ]
    return comparisons, _claims(report, values, orders, resampled), _contradictions(report)


def _comparisons(
    values: Mapping[str, pd.DataFrame], baseline: str, measure: str, resampled: Resampled
) -> list[Comparison]:
    table = significance.compare(values, baseline, measure, resampled)
    return [
        Comparison(str(name), baseline, measure, *(float(entry) for entry in line))
        for name, line in zip(table.index, table.to_numpy(), strict=True)
    ]


def _claims(
    report: Report, values: Mapping[str, pd.DataFrame], orders: Sequence[Order], resampled: Resampled
) -> list[CheckedOrder]:
    """Return the orders that can be checked; their p is not corrected."""
    measure = report.measures[0]
    claims = []
    for order in orders:
        if order.lower not in values or order.higher not in values:
            continue  # and maybe no row of the report
        pair = {key: values[key] for key in (order.lower, order.higher)}
        (comparison,) = _comparisons(pair, order.lower, measure, resampled)
        lower, higher = (_published(report, key, measure) for key in (order.lower, order.higher))
        ratio = None
        if lower is not None and higher is not None:
            ratio = significance.effect_ratio(
                published=Improvement(lower / 100, higher / 100),
                measured=Improvement(*(float(pair[key][measure].mean()) for key in (order.lower, order.higher))),
            )
        claims.append(CheckedOrder(order.lower, order.higher, order.source, lower, higher, comparison, ratio))
    return claims


def _corrected(claims: Sequence[CheckedOrder]) -> list[CheckedOrder]:
    """Return the claims with Holm's correction over all of them, whatever their groups."""
    corrected = significance.holm({str(i): claim.comparison.p for i, claim in enumerate(claims)})
    return [
        replace(claim, comparison=replace(claim.comparison, p_holm=corrected[str(i)])) for i, claim in enumerate(claims)
    ]


def _published(report: Report, key: str, measure: str) -> float | None:
    column = report.column(measure)
    return None if column is None else (report.row(key).published or {}).get(column.key)


def _contradictions(report: Report) -> list[str]:
    """Return a sentence for each row and measure by which it stands above rows that the paper has above it."""
    sentences = []
    for measure in report.measures:
        column = report.column(measure)
        if column is None:
            continue
        here, paper, labels = {}, {}, {}
        for row in report.rows:
            if row.measured and row.published and column.key in row.published:
                here[row.key], paper[row.key] = row.measured[measure].mean, row.published[column.key]
                labels[row.key] = row.label
        for key in here:
            below = [other for other in here if here[other] < here[key] and paper[other] > paper[key]]
            if below:
                rivals = (
                    f"{labels[other]} (here {here[key]:.4f} to {here[other]:.4f}, "
                    f"paper {paper[key]:.1f} to {paper[other]:.1f})"
                    for other in below
                )
                sentences.append(
                    f"{measure}: {labels[key]} is above these rows here and below them in the paper: "
                    f"{'; '.join(rivals)}."
                )
    return sentences


def marks(report: Report) -> list[Mark]:
    """Return how near measured figures come to printed ones, for every row and column in which both are there."""
    return [
        Mark(row.key, column.key, round(100 * row.measured[column.measure].mean, 1), row.published[column.key])
        for section in report.by_group()
        for row in section.rows
        for column in section.columns
        if row.measured and row.published and column.measure in row.measured and column.key in row.published
    ]
