"""Build the report of a table from the finished stages of its rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.assess import assess, marks
from reports.facts import Case, FileRef, Trial, Tuning
from reports.model import CollectionFacts, Group, Report, Row
from repro import training_diagnostics
from repro.agreement import beside_authors, beside_teacher
from repro.command import Options
from repro.hyperparameters import choices, elsewhere, hyperparameters
from repro.origin import StageResults, cost, data_of, origin, warnings
from repro.public_start import confounded, noted, said_of_start
from repro.query_examples import disagreeing
from repro.run_values import SPLIT, measure_on, values_of
from repro.table import RowSpec, Table
from repro.trials import MEASURE, trials_in_force, tried_values
from simlm.data.collection import Collection
from simlm.scales import Scale
from simlm.stages.data import OWN
from simlm.stages.runs import RunStage, read_log
from simlm.workflow.manifest import seconds_of
from simlm.workflow.plan import Planned, ancestors, job_of

EXAMPLES = 4
COMPARED_ROWS = ("bm25", "simlm")
"""The rows whose largest disagreements are the query examples."""
SHOWN_ROWS = ("bm25", "base-distilled", "simlm", "reranker")
"""The rows whose top passages a query example shows."""

Runs = Mapping[str, RunStage]
"""The run of each row, by the row's key."""


def build_report(
    table: Table,
    rows: Sequence[RowSpec],
    runs: Runs,
    stages: Sequence[Planned],
    options: Options,
    seconds: float,
    trials: pd.DataFrame,
) -> Report:
    """Return the report of a table.

    Args:
        table: The table.
        rows: Its rows that were measured.
        runs: The run of each of them.
        stages: All stages that these runs depend on.
        options: How the table was run.
        seconds: The command's own wall time.
        trials: The published trials of the scale (`published_trials`).
    """
    results = StageResults.of(stages)
    data = next(iter(runs.values())).data
    whole = data.whole or data
    collection = whole.source()
    origins = {key: run.origin for key, run in runs.items()}
    report = Report(
        title=table.title,
        scale=options.scale,
        collection=_facts(collection, results.numbers(whole)),
        rows=_rows(table, rows, runs, results, options.folder),
        measures=list(table.measures),
        columns=list(table.columns),
        baselines=[key for key in table.baselines if key in runs],
        groups=_groups(table, rows, runs, results),
        ordered=bool(table.orders),
    )
    values = _values(report, rows, runs)
    assess(report, values, table.orders)
    voided = training_diagnostics.voided(report.claims, table.orders, runs, results.names())
    report.claims = confounded(voided, runs)
    report.stages = results.facts()
    scale = options.open_scale()
    report.curves = None if table.curves is None else table.curves(scale)
    report.losses = _losses(stages)
    report.tuning = _tunings(rows, origins, results) + trials_in_force(origins, trials)
    report.cases = _examples(values, runs, collection, report.measures[0])
    if table.published_on is None:
        settings = hyperparameters(scale, tried_values(options.scale))
        report.hyperparameters = (elsewhere(settings) if options.collection else settings) + choices(scale)
        report.notes = notes(report, seconds, scale)
    else:
        found = report.collection
        report.comparable = table.published_on.is_whole(scale.collection, found.passages, found.queries)
        report.marks = marks(report)
        report.notes = [cost(report.stages, seconds)]
    report.notes += own_passages(results.numbers(whole), options)
    if not table.by_answers:
        report.notes += beside_authors(rows, runs, scale) + beside_teacher(rows, runs, scale)
    labels = {spec.label: runs[spec.key] for spec in rows}  # of extra splits the same runs
    report.warnings = [
        *warnings(options, (one.config for one in stages)),
        *table.remarks(list(runs.values()), results.numbers),
        *training_diagnostics.warnings(labels, results.names()),
        *training_diagnostics.below_random(report),
    ]
    searched = {data.source().name: data for data in (whole, *(run.data for run in runs.values()))}
    tested = [searched[group.collection.name] for group in report.by_group()]
    method = _method(report) | {"stages": results.identities()}
    report.provenance = origin(
        table.name, options, report.stages, data_of(tested), method, report.measures, report.baselines
    )
    return report


def _facts(collection: Collection, numbers: Mapping[str, Any], split: str = SPLIT) -> CollectionFacts:
    """Return what a report says of a collection, from the numbers that its stage left."""
    return CollectionFacts(
        name=collection.name,
        split=split,
        passages=numbers["passages"],
        queries=numbers.get("splits", {}).get(split, {}).get("queries", 0),
        description=collection.description,
        facts=dict(numbers),
    )


def _groups(table: Table, rows: Sequence[RowSpec], runs: Runs, results: StageResults) -> list[Group]:
    """Return the groups of a table that have measured rows, with the collection that each was measured on."""
    found = []
    for spec in table.groups:
        keys = [row.key for row in rows if row.group == spec.key]
        if keys:
            data = runs[keys[0]].data
            found.append(
                Group(
                    key=spec.key,
                    collection=_facts(data.source(), results.numbers(data), spec.split),
                    measures=list(spec.measures),
                    columns=list(spec.columns),
                    baselines=[key for key in spec.baselines if key in keys],
                )
            )
    return found


def _rows(table: Table, rows: Sequence[RowSpec], runs: Runs, results: StageResults, folder: Path) -> list[Row]:
    """Return the rows that were measured, then those that are quoted from the paper."""
    by_job = {stage.job: stage for stage in results.stages}
    measured = [_row(spec, runs[spec.key], by_job, results.manifests, folder) for spec in rows]
    quoted = [
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
    return measured + quoted


def _row(
    spec: RowSpec,
    run: RunStage,
    by_job: Mapping[Path, Planned],
    manifests: Mapping[Path, dict[str, Any]],
    folder: Path,
) -> Row:
    """Return a measured row: its files, its cost, and the size of the index of the stage that ranked its passages."""
    stage, origin = by_job[job_of(run)], by_job[job_of(run.origin)]
    numbers = manifests[origin.job]["numbers"]
    outputs = manifests[stage.job]["outputs"]
    index = numbers.get("index_bytes") or next(
        (manifests[one.job]["numbers"]["index_bytes"] for name, one in origin.inputs.items() if name == "index"), None
    )

    def reference(name: str) -> FileRef:
        return FileRef(str((stage.job / "output" / name).relative_to(folder)), outputs[name]["sha256"])

    return Row(
        key=spec.key,
        label=spec.label,
        kind=spec.kind,
        published=spec.published,
        note=noted(spec.note, run),
        seconds=sum(seconds_of(manifests[one.job]) for one in ancestors(stage)),
        index_bytes=index,
        latency_ms=numbers.get("latency_ms"),
        run=reference(f"{spec.split}.run"),
        per_query=reference(f"{spec.split}.measures.csv"),
        group=spec.group,
        reference=spec.reference,
    )


def _values(report: Report, rows: Sequence[RowSpec], runs: Runs) -> dict[str, pd.DataFrame]:
    """Return the measures of each measured row by query, those of its group."""
    splits = {spec.key: spec.split for spec in rows}
    return {
        row.key: values_of(runs[row.key], group.measures, splits[row.key])
        for group in report.by_group()
        for row in group.rows
        if row.key in runs
    }


def _losses(stages: Sequence[Planned]) -> dict[str, list[tuple[int, float]]]:
    """Return (step, loss) of every stage that trained, by its name."""
    return {
        stage.name: [(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry]
        for stage in stages
        if (log := read_log(stage.job / "output"))
    }


def _tunings(rows: Sequence[RowSpec], runs: Runs, results: StageResults) -> list[Tuning]:
    """Return the trials that the stages of rows made on valid themselves."""
    tunings = []
    for spec in rows:
        trials = results.numbers(runs[spec.key]).get("trials", [])
        if trials:
            best = max(range(len(trials)), key=lambda i: trials[i]["rr_at_10"])
            shown = [
                Trial({k: v for k, v in trial.items() if k != "rr_at_10"}, trial["rr_at_10"], number == best)
                for number, trial in enumerate(trials)
            ]
            tunings.append(Tuning(spec.key, measure_on(runs[spec.key], MEASURE, "valid"), shown))
    return tunings


def _examples(values: Mapping[str, pd.DataFrame], runs: Runs, collection: Collection, measure: str) -> list[Case]:
    """Return the queries on which BM25 and the distilled SimLM differ most, with the top passages of a few rows."""
    if not all(key in values for key in COMPARED_ROWS):
        return []
    shown = {key: runs[key] for key in values if key in SHOWN_ROWS}
    one, other = (values[key] for key in COMPARED_ROWS)
    return disagreeing(one, other, shown, collection, measure, EXAMPLES)


def _method(report: Report) -> dict[str, Any]:
    rows = report.measured_rows()
    return {
        "retrieval": [{"name": row.key, "method": row.label} for row in rows],
        "runs": {row.key: row.run.sha256 for row in rows if row.run is not None},
    }


def own_passages(numbers: Mapping[str, Any], options: Options) -> list[str]:
    """Return a note on the queries that are passages themselves; none for a collection without any."""
    if options.keep_own_passages:
        return ["Queries that are passages themselves may find these: --keep-own-passages."]
    counts = [
        f"{count:,} of {numbers['splits'][split]['queries']:,} {split}" for split, count in numbers.get(OWN, {}).items()
    ]
    if not counts:
        return []
    return [
        f"{', '.join(counts)} queries are passages themselves, with the same id and text: each one's own passage is "
        "left out of its rankings and negatives, as BEIR does. --keep-own-passages turns that off."
    ]


def notes(report: Report, seconds: float, scale: Scale) -> list[str]:
    """Return the notes of a table whose models were trained here: the core comparison, the cost, the tuning.

    Args:
        report: The report, with its comparisons, stages and trials.
        seconds: The command's own wall time.
        scale: The scale.
    """
    found = []
    same_budget = report.comparison("simlm", "base-distilled", report.measures[0])
    if same_budget is not None:
        found.append(
            "Pre-training at equal fine-tuning budget, negatives and teacher: SimLM distilled minus base distilled is "
            f"{same_budget.difference:+.4f} {report.measures[0]} [{same_budget.low:+.4f}, {same_budget.high:+.4f}], "
            f"Holm-corrected p {same_budget.p_holm:.2g}."
        )
    found.append(cost(report.stages, seconds))
    tuned = {one.row for one in report.tuning}
    own = [row.label for row in report.rows if row.key in tuned and row.kind != "dense"]
    dense = [row.label for row in report.rows if row.key in tuned and row.kind == "dense"]
    if own:
        found.append(f"Tuned on valid, with the trials listed above: {', '.join(sorted(own))}.")
    tried = "None of this table's rows has published trials of its own."
    if dense:
        tried = f"Settings were tried on valid, each with the same values for the rows it names: {', '.join(dense)}."
    parts = any(group.collection.name != report.collection.name for group in report.groups)  # Table 10 says it itself
    found += said_of_start(scale) if isinstance(scale.encoder, str) or not parts else []
    return [*found, f"{_shared(report, scale)} {tried}"]


def _shared(report: Report, scale: Scale) -> str:
    """Say what rows have in common. The paper has one pre-training rate for all; Table 1 has settings of its own."""
    but = " and the pre-training's learning rate"
    if scale.has_papers_models:
        own = [row.label for row in report.measured_rows() if row.kind == "dense" and row.key in scale.retrievers]
        but = f", {' and '.join(own)} excepted" if own else ""
    return f"Dense rows of the same stage share every hyper-parameter but what the table varies{but}."
