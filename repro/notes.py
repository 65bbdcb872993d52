"""What a report notes of itself: SimLM beside the base model, what it cost, and how its rows were tuned."""

from reports.model import Report
from repro.origin import cost
from simlm.scales import Scale


def notes(report: Report, seconds: float, scale: Scale) -> list[str]:
    """The notes of a table whose models were trained here; ``seconds`` is the command's own wall time."""
    same_budget = report.comparison("simlm", "base-distilled", report.measures[0])
    core = (
        [
            "Pre-training at equal fine-tuning budget, negatives and teacher: SimLM distilled minus base distilled is "
            f"{same_budget.difference:+.4f} {report.measures[0]} [{same_budget.low:+.4f}, {same_budget.high:+.4f}], "
            f"Holm-corrected p {same_budget.p_holm:.2g}."
        ]
        if same_budget is not None
        else []
    )
    return [
        *core,
        cost(report.stages, seconds),
        *_how_tuned(report, scale),
    ]


def _how_tuned(report: Report, scale: Scale) -> list[str]:
    kinds = {row.key: row.kind for row in report.rows}
    tuned = {one.row for one in report.tuning}
    own = [report.row(row).label for row in tuned if kinds[row] != "dense"]
    dense = [row.label for row in report.rows if row.key in tuned and row.kind == "dense"]
    lines = [f"Tuned on valid, with the trials listed above: {', '.join(sorted(own))}."] if own else []
    shared = _shared(report, scale)
    if dense:
        return [
            *lines,
            f"{shared} The same values of a setting were tried on valid with each row that has trials: "
            f"{', '.join(dense)}.",
        ]
    return [*lines, f"{shared} None of this table's rows has published trials of its own."]


def _shared(report: Report, scale: Scale) -> str:
    """What rows have in common. The paper has one pre-training rate for all, and Table 1 an exception of its own."""
    if not isinstance(scale.encoder, str):
        return (
            "Dense rows of the same stage share every hyper-parameter but what the table varies and the pre-training's "
            "learning rate."
        )
    own = [row.label for row in report.measured_rows() if row.kind == "dense" and row.key in scale.retrievers]
    but = f", {' and '.join(own)} excepted" if own else ""
    return f"Dense rows of the same stage share every hyper-parameter but what the table varies{but}."
