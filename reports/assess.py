"""From per-query values to what a report says of them: estimates, tests, claims, contradictions, cases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from reports.model import CheckedOrder, Comparison, Estimate, Mark, Report
from simlm.evaluation import significance
from simlm.evaluation.significance import Improvement, Resampled


class Order(NamedTuple):
    """An order of two rows (keys) that the paper reports and the table it is from.

    ``with_teacher``: it is about what a trained re-ranker does or teaches, and void where that learnt nothing.
    """

    lower: str
    higher: str
    source: str
    with_teacher: bool = False


def assess(report: Report, values: Mapping[str, pd.DataFrame], orders: Sequence[Order] = ()) -> None:
    """Fills a report's estimates, comparisons, claims, contradictions and statistics from per-query values.

    `values` maps row keys to frames of `simlm.evaluation.measures.evaluate`, those of a group (of all rows, where
    there are no groups) over the same queries, with a column for every measure of theirs. Rows of the report without
    values stay as the paper has them. A baseline without values is skipped, as when only some rows were asked for; so
    is an order of which a side was not measured or is of another group. An order without published figures has no
    effect ratio.
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
    """Fill the estimates of rows with the same queries; their comparisons, claims (uncorrected) and contradictions."""
    resampled = Resampled(significance.side_by_side(values, report.measures))
    for row in report.rows:
        if row.key in values:
            row.measured = {
                measure: Estimate(float(values[row.key][measure].mean()), *resampled.interval((row.key, measure)))
                for measure in report.measures
            }
    comparisons = [
        comparison
        for baseline in report.baselines
        if baseline in values
        for measure in report.measures
        for comparison in _comparisons(values, baseline, measure, resampled)
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
    """The orders that can be checked, p not corrected."""
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
    """Holm's correction over all orders that were checked, whatever their groups."""
    corrected = significance.holm({str(i): claim.comparison.p for i, claim in enumerate(claims)})
    return [
        replace(claim, comparison=replace(claim.comparison, p_holm=corrected[str(i)])) for i, claim in enumerate(claims)
    ]


def _published(report: Report, key: str, measure: str) -> float | None:
    column = report.column(measure)
    return None if column is None else (report.row(key).published or {}).get(column.key)


def _contradictions(report: Report) -> list[str]:
    """Says in words which rows stand in another order than in the paper, a sentence a row and measure."""
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
    """A mark for every measured row and column of the paper in which both have a figure."""
    return [
        Mark(row.key, column.key, round(100 * row.measured[column.measure].mean, 1), row.published[column.key])
        for section in report.by_group()
        for row in section.rows
        for column in section.columns
        if row.measured and row.published and column.measure in row.measured and column.key in row.published
    ]
