"""Measured beside published: how near the figures of published checkpoints come to those printed for them."""

from reports.model import Mark, Report


def marks(report: Report) -> list[Mark]:
    """A mark for every measured row and column of the paper in which both have a figure."""
    return [
        Mark(row.key, column.key, round(100 * row.measured[column.measure].mean, 1), row.published[column.key])
        for section in report.by_group()
        for row in section.rows
        for column in section.columns
        if row.measured and row.published and column.measure in row.measured and column.key in row.published
    ]
