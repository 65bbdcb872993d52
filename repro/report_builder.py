"""From finished stages to a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.assess import assess, marks
from reports.facts import Case, FileRef, Trial, Tuning
from reports.model import Report, Row
from repro import training_diagnostics
from repro.agreement import beside_authors
from repro.collection_facts import facts, groups
from repro.command import Options
from repro.hyperparameters import choices, elsewhere, hyperparameters
from repro.notes import notes
from repro.origin import StageResults, cost, origin, warnings
from repro.query_examples import disagreeing, values_of
from repro.table import RowSpec, Table
from repro.teachers import beside_teacher
from repro.trials import MEASURE, trials_in_force, tried_values
from simlm.data.collections import Collection
from simlm.scales import open_scale
from simlm.stages.runs import RunStage, read_log
from simlm.workflow.manifest import seconds_of
from simlm.workflow.plan import Planned, ancestors, job_of

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
    made = StageResults.of(stages)
    data = next(iter(runs.values())).data
    whole = data.whole or data
    collection = whole.source()
    origins = {key: run.origin for key, run in runs.items()}
    report = Report(
        title=table.title,
        scale=options.scale,
        collection=facts(collection, made.numbers(whole)),
        rows=_measured(rows, runs, stages, made, options.results.absolute()) + _of_paper_only(table),
        measures=list(table.measures),
        columns=list(table.columns),
        baselines=[key for key in table.baselines if key in runs],
        groups=groups(table, rows, runs, made),
        ordered=bool(table.orders),
    )
    values = _values(report, rows, runs)
    assess(report, values, table.orders)
    report.claims = training_diagnostics.voided(report.claims, table.orders, runs, made.names())
    report.marks = marks(report) if table.released else []
    report.stages = made.facts()
    scale = open_scale(options.scale, options.collection)
    report.comparable = table.released is not None and table.released.matches(scale.collection, report.collection)
    report.curves = None if table.curves is None else table.curves(scale)
    report.losses = _losses(stages)
    report.tuning = _tunings(rows, origins, made) + trials_in_force(origins, trials)
    if not table.released:
        settings = hyperparameters(scale, tried_values(options.scale))
        report.hyperparameters = (elsewhere(settings) if options.collection else settings) + choices()
    report.cases = _cases(values, runs, collection, report.measures[0])
    report.notes = [cost(report.stages, seconds)] if table.released else notes(report, seconds, scale)
    if not table.by_answers:
        report.notes += beside_authors(rows, runs, scale) + beside_teacher(rows, runs, scale)
    labels = {spec.label: runs[spec.key] for spec in rows}  # of further splits the same runs
    report.warnings = [
        *warnings(options),
        *table.remarks(list(runs.values()), made.numbers),
        *training_diagnostics.warnings(labels, made.names()),
        *training_diagnostics.below_random(report),
    ]
    searched = {collection.name: collection} | {one.name: one for one in (run.data.source() for run in runs.values())}
    tested = [searched[group.collection.name] for group in report.by_group()]
    report.provenance = origin(table.name, options, made, tested, _method(report), report.measures, report.baselines)
    return report


def _measured(
    rows: Sequence[RowSpec], runs: Mapping[str, RunStage], stages: Sequence[Planned], made: StageResults, results: Path
) -> list[Row]:
    """The rows that were measured here."""
    by_job = {stage.job: stage for stage in stages}
    return [_row(spec, runs[spec.key], by_job, made.manifests, results) for spec in rows]


def _of_paper_only(table: Table) -> list[Row]:
    """The rows of which there are the paper's figures alone."""
    return [
        Row(
            one.key,
            one.label,
            "sparse" if one.kind == "sparse" else "dense",
            published=one.published,
            note=one.note,
            group=one.group,
        )
        for one in table.paper_only
    ]


def _values(report: Report, rows: Sequence[RowSpec], runs: Mapping[str, RunStage]) -> dict[str, pd.DataFrame]:
    """The measured rows' values by query, each by its group's measures."""
    splits = {spec.key: spec.split for spec in rows}
    return {
        row.key: values_of(runs[row.key], group.measures, splits[row.key])
        for group in report.by_group()
        for row in group.rows
        if row.key in runs
    }


def _losses(stages: Sequence[Planned]) -> dict[str, list[tuple[int, float]]]:
    """(step, loss) of every stage that trained."""
    return {
        stage.name: [(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry]
        for stage in stages
        if (log := read_log(stage.job / "output"))
    }


def _method(report: Report) -> dict[str, Any]:
    rows = report.measured_rows()
    return {
        "retrieval": [{"name": row.key, "method": row.label} for row in rows],
        "runs": {row.key: row.run.sha256 for row in rows if row.run is not None},
    }


def _row(
    spec: RowSpec,
    run: RunStage,
    by_job: Mapping[Path, Planned],
    manifests: Mapping[Path, dict[str, Any]],
    results: Path,
) -> Row:
    """A row's files, and its cost: that of its run, with the index of the stage that ranked its passages."""
    stage, origin = by_job[job_of(run)], by_job[job_of(run.origin)]
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


def _tunings(rows: Sequence[RowSpec], runs: Mapping[str, RunStage], made: StageResults) -> list[Tuning]:
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
