"""From finished stages to a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.assess import assess
from reports.model import Case, FileRef, Report, Row, Trial, Tuning
from repro import learnt
from repro.cases import disagreeing, values_of
from repro.command import Options
from repro.groups import facts, groups
from repro.hyperparameters import choices, elsewhere, hyperparameters
from repro.origin import Made, cost, origin, warnings
from repro.table import RowSpec, Table
from repro.trials import MEASURE, trials_in_force, tried_values
from simlm.data.collections import Collection
from simlm.scales import open_scale
from simlm.stages.manifest import seconds_of
from simlm.stages.plan import Planned, ancestors, job_of
from simlm.stages.runs import RunStage, read_log

CASES = 4
CASE_ROWS = ("bm25", "simlm")
SHOWN_ROWS = ("bm25", "base-distilled", "simlm", "reranker")


def build_report(
    table: Table,
    rows: Sequence[RowSpec],
    runs: Mapping[str, RunStage],
    stages: Sequence[Planned],
    options: Options,
    seconds: float,
    trials: pd.DataFrame,
) -> Report:
    """The report of a table from the stages that its rows stand on.

    ``seconds`` is this command's own wall time, ``trials`` are those published for the scale (`published_trials`).
    """
    results = options.results.absolute()
    made = Made.of(stages)
    by_job = {stage.job: stage for stage in stages}
    data = next(iter(runs.values())).data
    whole = data.whole or data
    collection = whole.source()
    origins = {key: run.origin for key, run in runs.items()}
    report = Report(
        title=table.title,
        scale=options.scale,
        collection=facts(collection, made.numbers(whole)),
        rows=[
            _row(spec, by_job[job_of(runs[spec.key])], by_job[job_of(origins[spec.key])], made.manifests, results)
            for spec in rows
        ]
        + [
            Row(
                one.key,
                one.label,
                "sparse" if one.kind == "sparse" else "dense",
                published=one.published,
                group=one.group,
            )
            for one in table.paper_only
        ],
        measures=list(table.measures),
        columns=list(table.columns),
        baselines=[key for key in table.baselines if key in runs],
        groups=groups(table, rows, runs, made),
        ordered=bool(table.orders),
    )
    splits = {spec.key: spec.split for spec in rows}
    values = {
        row.key: values_of(runs[row.key], group.measures, splits[row.key])
        for group in report.by_group()
        for row in group.rows
        if row.key in runs
    }
    assess(report, values, table.orders)
    report.claims = learnt.voided(report.claims, table.orders, runs, made.names())
    report.stages = made.facts()
    scale = open_scale(options.scale, options.collection)
    report.curves = None if table.curves is None else table.curves(scale)
    report.losses = {
        stage.name: [(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry]
        for stage in stages
        if (log := read_log(stage.job / "output"))
    }
    dense = trials_in_force(origins, trials)
    report.tuning = _tunings(rows, origins, made) + dense
    settings = hyperparameters(scale, tried_values(options.scale))
    report.hyperparameters = (elsewhere(settings) if options.collection else settings) + choices()
    report.cases = _cases(values, runs, collection, report.measures[0])
    report.notes = _notes(report, seconds)
    labels = {spec.label: runs[spec.key] for spec in rows}  # of further splits the same runs
    report.warnings = [
        *warnings(options),
        *table.remarks(list(runs.values()), made.numbers),
        *learnt.warnings(labels, made.names()),
        *learnt.below_random(report),
    ]
    searched = {collection.name: collection} | {one.name: one for one in (run.data.source() for run in runs.values())}
    tested = [searched[group.collection.name] for group in report.by_group()]
    report.provenance = origin(table.name, options, made, tested, _method(report), report.measures, report.baselines)
    return report


def _method(report: Report) -> dict[str, Any]:
    rows = report.measured_rows()
    return {
        "retrieval": [{"name": row.key, "method": row.label} for row in rows],
        "runs": {row.key: row.run.sha256 for row in rows if row.run is not None},
    }


def _row(
    spec: RowSpec, stage: Planned, origin: Planned, manifests: Mapping[Path, dict[str, Any]], results: Path
) -> Row:
    """A row's files, and its cost; ``origin`` is the stage that ranked the passages of ``stage``'s run."""
    numbers = manifests[origin.job]["numbers"]
    outputs = manifests[stage.job]["outputs"]
    index = numbers.get("index_bytes") or next(
        (manifests[one.job]["numbers"]["index_bytes"] for name, one in origin.inputs.items() if name == "index"), None
    )

    def reference(name: str) -> FileRef:
        return FileRef(str((stage.job / "output" / name).relative_to(results)), outputs[name]["sha256"])

    return Row(
        key=spec.key,
        label=spec.label,
        kind=spec.kind,
        published=spec.published,
        note=spec.note,
        seconds=sum(seconds_of(manifests[one.job]) for one in ancestors(stage)),
        index_bytes=index,
        latency_ms=numbers.get("latency_ms"),
        run=reference(f"{spec.split}.run"),
        per_query=reference(f"{spec.split}.measures.csv"),
        group=spec.group,
    )


def _tunings(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], made: Made) -> list[Tuning]:
    """The trials that a row's own stage made on valid."""
    tunings = []
    for spec in rows:
        trials = made.numbers(runs[spec.key]).get("trials", [])
        if trials:
            best = max(range(len(trials)), key=lambda i: trials[i]["rr_at_10"])
            shown = [
                Trial({k: v for k, v in trial.items() if k != "rr_at_10"}, trial["rr_at_10"], number == best)
                for number, trial in enumerate(trials)
            ]
            tunings.append(Tuning(spec.key, MEASURE, shown))
    return tunings


def _cases(
    values: Mapping[str, pd.DataFrame], runs: Mapping[str, RunStage], collection: Collection, measure: str
) -> list[Case]:
    """Queries on which BM25 and the distilled SimLM differ most, with the top passages of a few rows."""
    if not all(key in values for key in CASE_ROWS):
        return []
    shown = {key: runs[key] for key in values if key in SHOWN_ROWS}
    one, other = (values[key] for key in CASE_ROWS)
    return disagreeing(one, other, shown, collection, measure, CASES)


def _notes(report: Report, seconds: float) -> list[str]:
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
        *_how_tuned(report),
    ]


def _how_tuned(report: Report) -> list[str]:
    kinds = {row.key: row.kind for row in report.rows}
    tuned = {one.row for one in report.tuning}
    own = [report.row(row).label for row in tuned if kinds[row] != "dense"]
    dense = [row.label for row in report.rows if row.key in tuned and row.kind == "dense"]
    lines = [f"Tuned on valid, with the trials listed above: {', '.join(sorted(own))}."] if own else []
    shared = (
        "Dense rows of the same stage share every hyper-parameter but what the table varies and the pre-training's "
        "learning rate."
    )
    if dense:
        return [
            *lines,
            f"{shared} The same values of a setting were tried on valid with each row that has trials: "
            f"{', '.join(dense)}.",
        ]
    return [*lines, f"{shared} None of this table's rows has published trials of its own."]
