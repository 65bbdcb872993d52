"""From finished stages to a report."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.assess import assess
from reports.cases import collect_cases, disagreements
from reports.model import CollectionFacts, FileRef, Report, Row, Trial, Tuning
from reports.model import Stage as StageFacts
from reports.provenance import provenance
from repro.command import Options
from repro.hyperparameters import choices, hyperparameters
from repro.table import RowSpec, Table
from repro.trials import MEASURE
from simlm.data.collections import Collection
from simlm.scales import Scale, open_scale
from simlm.stages.manifest import outputs_digest, read_manifest
from simlm.stages.plan import Planned
from simlm.stages.runs import RunStage, read_log

SPLIT = "test"
CASES = 4
CASE_ROWS = ("bm25", "simlm")
SHOWN_ROWS = ("bm25", "base-distilled", "simlm", "reranker")
DESCRIPTIONS = {
    "insuranceqa": "InsuranceQA (Feng et al., 2015), the English questions and answers of insuranceqa-data 1.2.",
    "insuranceqa-smoke": "The first passages and questions of InsuranceQA: for tests, the figures mean nothing.",
}


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
    manifests = {stage.job: read_manifest(stage.job) or {} for stage in stages}
    by_job = {stage.job: stage for stage in stages}
    collection = next(iter(runs.values())).data.source()
    scale = open_scale(options.scale)
    origins = {key: run.origin for key, run in runs.items()}
    report = Report(
        title=table.title,
        scale=options.scale,
        collection=_facts(collection, manifests[_job(next(iter(runs.values())).data)]["numbers"]),
        rows=[
            _row(spec, by_job[_job(runs[spec.key])], by_job[_job(origins[spec.key])], manifests, results)
            for spec in rows
        ]
        + [
            Row(key, label, "sparse" if family == "sparse" else "dense", published=figures)
            for key, label, family, figures in table.paper_only
        ],
        measures=list(table.measures),
        columns=list(table.columns),
        baselines=[key for key in table.baselines if key in runs],
    )
    values = {
        spec.key: pd.read_csv(_trec(by_job[_job(runs[spec.key])], ".measures.csv"), dtype={"query_id": str}).set_index(
            "query_id"
        )
        for spec in rows
    }
    assess(report, values, table.orders)
    report.stages = [_stage(stage, manifests[stage.job]) for stage in stages]
    report.losses = {
        stage.name: [(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry]
        for stage in stages
        if (log := read_log(stage.job / "output"))
    }
    dense = trials_in_force(origins, trials)
    report.tuning = _tunings(rows, origins, manifests) + dense
    shown = trials[trials["row"].isin([one.row for one in dense])]
    tried = {setting: sorted(set(group["value"])) for setting, group in shown.groupby("setting")}
    report.hyperparameters = hyperparameters(scale, tried) + choices()
    report.cases = _cases(values, {key: by_job[_job(runs[key])] for key in runs}, collection, report.measures[0])
    report.notes = _notes(report, seconds)
    report.warnings = _warnings(options) + table.remarks(
        list(runs.values()), lambda stage: dict(manifests[_job(stage)]["numbers"])
    )
    report.provenance = _provenance(report, table, options, scale, collection, stages, manifests)
    return report


def _job(stage: Any) -> Path:
    return Path(stage.__xpm__.job.path)


def _trec(stage: Planned, suffix: str) -> Path:
    return stage.job / "output" / f"{SPLIT}{suffix}"


def _facts(collection: Collection, numbers: dict[str, Any]) -> CollectionFacts:
    queries = numbers.get("splits", {}).get(SPLIT, {}).get("queries", 0)
    return CollectionFacts(
        name=collection.name,
        split=SPLIT,
        passages=numbers["passages"],
        queries=queries,
        description=DESCRIPTIONS.get(collection.name, ""),
        facts=numbers,
    )


def ancestors(stage: Planned) -> list[Planned]:
    """A stage and all that it stands on, each once."""
    found: dict[Path, Planned] = {stage.job: stage}
    for one in stage.inputs.values():
        found |= {other.job: other for other in ancestors(one)}
    return list(found.values())


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
        seconds=sum(_seconds(manifests[one.job]) for one in ancestors(stage)),
        index_bytes=index,
        latency_ms=numbers.get("latency_ms"),
        run=reference(f"{SPLIT}.run"),
        per_query=reference(f"{SPLIT}.measures.csv"),
    )


def _seconds(manifest: dict[str, Any]) -> float:
    return float(sum(attempt["seconds"] for attempt in manifest.get("attempts", [])))


def _stage(stage: Planned, manifest: dict[str, Any]) -> StageFacts:
    attempts = manifest.get("attempts", [])
    energy = [attempt["energy_joules"] for attempt in attempts if attempt.get("energy_joules") is not None]
    return StageFacts(
        name=stage.name,
        identifier=stage.job.name,
        seconds=_seconds(manifest),
        tokens_per_second=_tokens_per_second(manifest["numbers"]),
        peak_memory_bytes=max((attempt["peak_bytes"] for attempt in attempts), default=None),
        energy_joules=sum(energy) if energy else None,
        attempts=len(attempts),
        state="valid" if stage.valid else str(stage.reason),
        reused=stage.reused,
    )


def _tokens_per_second(numbers: dict[str, Any]) -> float | None:
    if numbers.get("tokens_per_second") is not None:
        return float(numbers["tokens_per_second"])
    if "encode_seconds" in numbers:
        return float(numbers["tokens"] / numbers["encode_seconds"])
    return None


def _tunings(
    rows: Sequence[RowSpec], runs: Mapping[str, RunStage], manifests: Mapping[Path, dict[str, Any]]
) -> list[Tuning]:
    """The trials that a row's own stage made on valid."""
    tunings = []
    for spec in rows:
        numbers = manifests[_job(runs[spec.key])]["numbers"]
        trials = numbers.get("trials", [])
        if trials:
            best = max(range(len(trials)), key=lambda i: trials[i]["rr_at_10"])
            shown = [
                Trial({k: v for k, v in trial.items() if k != "rr_at_10"}, trial["rr_at_10"], number == best)
                for number, trial in enumerate(trials)
            ]
            tunings.append(Tuning(spec.key, MEASURE, shown))
    return tunings


def trials_in_force(runs: Mapping[str, RunStage], trials: pd.DataFrame) -> list[Tuning]:
    """The published trials of the rows that have one of them; other rows were trained with other settings."""
    chosen = {row: _job(runs[row]).name for row in runs}
    known = trials[trials["row"].isin([row for row in chosen if chosen[row] in set(trials["stage"])])]
    return [
        Tuning(
            row,
            MEASURE,
            [Trial({one.setting: f"{one.value:g}"}, one.score, one.stage == chosen[row]) for one in group.itertuples()],
        )
        for row, group in known.groupby("row", sort=False)
    ]


def _cases(
    values: Mapping[str, pd.DataFrame], stages: Mapping[str, Planned], collection: Collection, measure: str
) -> list[Any]:
    """Queries on which BM25 and the distilled SimLM differ most, with the top passages of a few rows."""
    if not all(key in values for key in CASE_ROWS):
        return []
    one, other = CASE_ROWS
    chosen = disagreements(values[one], values[other], measure, CASES)
    queries = {query.id: query.text for query in collection.queries(SPLIT) if query.id in chosen}
    store = collection.docs.docs_store()
    return collect_cases(
        chosen,
        {key: _trec(stages[key], ".run") for key in values if key in SHOWN_ROWS},
        collection.qrels(SPLIT),
        queries.__getitem__,
        lambda passage: store.get(passage).text,
    )


def _notes(report: Report, seconds: float) -> list[str]:
    work = sum(stage.seconds or 0.0 for stage in report.stages)
    peak = max((stage.peak_memory_bytes or 0 for stage in report.stages), default=0)
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
        f"This command ran {seconds / 60:.1f} minutes; its stages took {work / 60:.1f} minutes of work in all, "
        f"interrupted attempts included, up to two at a time. The largest process held {peak / 1e9:.2f} GB.",
        *_how_tuned(report),
    ]


def _how_tuned(report: Report) -> list[str]:
    kinds = {row.key: row.kind for row in report.rows}
    tuned = {one.row for one in report.tuning}
    own = [report.row(row).label for row in tuned if kinds[row] != "dense"]
    dense = [row.label for row in report.rows if row.key in tuned and row.kind == "dense"]
    lines = [f"Tuned on valid, with the trials listed above: {', '.join(sorted(own))}."] if own else []
    shared = "Dense rows of the same stage share every hyper-parameter."
    if dense:
        return [*lines, f"{shared} Settings were tried on valid equally often with each of: {', '.join(dense)}."]
    return [*lines, f"{shared} No trials with the settings in force here are published."]


def _warnings(options: Options) -> list[str]:
    """What a reader must know before the first figure."""
    warnings = []
    if options.scale == "smoke":
        warnings.append("The smoke scale is for tests: its figures mean nothing.")
    if options.negatives != "bm25":
        warnings.append(
            "Retriever1 was trained on the negatives that come with the collection; the paper's figures beside it are "
            "for BM25's."
        )
    if options.rows:
        warnings.append("Only some rows of the table were asked for.")
    if options.seed:
        warnings.append(f"Seed {options.seed} was added to every seed of the scale.")
    return warnings


def _provenance(
    report: Report,
    table: Table,
    options: Options,
    scale: Scale,
    collection: Collection,
    stages: Sequence[Planned],
    manifests: Mapping[Path, dict[str, Any]],
) -> dict[str, Any]:
    made = {"base and random init": scale.base, "generator": scale.generator_training}
    seeds = {name: settings.optimisation.seed for name, settings in made.items() if settings is not None} | {
        "pre-training": scale.pretraining.optimisation.seed,
        "Retriever1/2": scale.retriever.optimisation.seed,
        "re-ranker": scale.reranker.optimisation.seed,
        "distillation": scale.distillation.optimisation.seed,
    }
    return provenance(
        tag=f"{table.name}-{options.scale}",
        command=[sys.executable, "-m", f"repro.{table.name}", *sys.argv[1:]],
        seeds={name: seed + options.seed for name, seed in seeds.items()},
        data={
            "test collection": {
                "name": collection.name,
                "source": "insuranceqa-data 1.2",
                "ir_datasets": f"{collection.name}/{SPLIT}",
                "fingerprint": collection.fingerprint(),
            }
        },
        method={
            "retrieval": [{"name": row.key, "method": row.label} for row in report.measured_rows()],
            "runs": {row.key: row.run.sha256 for row in report.measured_rows() if row.run is not None},
            "stages": {
                stage.name: {
                    "identifier": stage.job.name,
                    "outputs": outputs_digest(manifests[stage.job]),
                    "commit": manifests[stage.job]["commit"],
                }
                for stage in stages
            },
        },
        measures=report.measures,
        baselines=report.baselines,
        resources={
            "work seconds": sum(stage.seconds or 0.0 for stage in report.stages),
            "peak bytes": max((stage.peak_memory_bytes or 0 for stage in report.stages), default=0),
            "energy joules": sum(stage.energy_joules or 0.0 for stage in report.stages) or None,
        },
    )
