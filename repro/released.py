"""`--released`: the published checkpoints of SimLM and of the systems beside it, measured without training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from baselines.checkpoints import Checkpoints, hub_refusals
from baselines.released import SearchPrebuilt, SystemPipeline
from baselines.system import System
from baselines.systems import SYSTEMS
from baselines.systems import system as declared
from reports.assess import Order
from repro.command import Options
from repro.pipeline_runs import PipelineRuns
from repro.table import PaperRow, RowSpec, Table, figures
from repro.training_diagnostics import below
from simlm.errors import UserError
from simlm.models.public import COMMIT
from simlm.paths import instead
from simlm.scales.scale import FLOAT32, Scale
from simlm.stages.models import PublicModel, local_digest, public_model
from simlm.stages.reranker import Rerank
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

SCALE = "paper"
RERANKED = "simlm"
"""The system whose run the published re-ranker re-orders."""


@dataclass(frozen=True)
class ReleasedOptions(Options):
    """How to run a table that can also be made from published checkpoints."""

    released: bool = False
    """Measure the published checkpoints instead of training, at --scale paper."""
    models: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """With --released: a folder with the Hub's repositories, as <org>--<name>, that is read instead of the Hub."""

    @property
    def trains(self) -> bool:
        return not self.released or any(one.kind == "start" and one.key in self.rows for one in SYSTEMS)

    @property
    def variant(self) -> str:
        parts = ["released"] if self.released else []
        parts += ["own-models"] if self.models is not None else []
        return "_".join([*parts, *filter(None, [super().variant])])

    def open_scale(self) -> Scale:
        """Return the settings; published checkpoints compute in float32 on a CPU, to agree in the fourth decimal."""
        scale = super().open_scale()
        exact = self.released and self.precision == "auto" and not self.on_gpu()
        return replace(scale, precision=FLOAT32) if exact else scale


def checkpoints_for(options: Options) -> Checkpoints | None:
    """Return where ``--released`` finds its checkpoints, None without it; UserError for options that exclude it."""
    if not isinstance(options, ReleasedOptions):
        return None
    if not options.released:
        if options.models is not None:
            raise UserError("--models is for --released: leave it out, or add --released")
        return None
    if options.scale != SCALE:
        raise UserError(f"--released: published checkpoints are for the paper's own collections; add --scale {SCALE}")
    if options.models is not None and not options.models.is_dir():
        raise UserError(
            f"--models {options.models} {instead(options.models)}; give a folder with the Hub's repositories"
        )
    if options.negatives != "bm25" or options.seed:
        raise UserError("--released trains nothing: leave out --negatives and --seed")
    if options.models is not None or options.dry_run:  # which shows what would run if everything were to be had
        return Checkpoints(options.models)
    return Checkpoints(refusal=hub_refusals(options.folder))


def released(table: Table, checkpoints: Checkpoints, options: Options) -> Table:
    """Return a table with published checkpoints as its rows; those that cannot be measured say what is lacking.

    A row that has to be trained is one only where it is asked for.

    Raises:
        UserError: No row can be measured, or one that was asked for cannot.
    """
    assert table.released is not None, "only such a table has the option"
    if table.released.without_collection and not options.collection:
        raise UserError(f"--released: {table.released.without_collection}")
    systems, rows, run = table.released.systems, options.rows, table.released.run or system_run
    systems = [one for one in systems if one.kind != "start" or one.key in rows]
    wanted = rows or [one.key for one in systems]
    lacking = {one.key: _lacking(one, checkpoints if one.key in wanted else checkpoints.unasked()) for one in systems}
    asked = [one for one in systems if one.key in rows and lacking[one.key]]
    if asked:
        raise UserError(f"--rows {asked[0].key}: {asked[0].label}: {lacking[asked[0].key]}")
    checkpoints.check_any(systems, lacking)
    measured = [one for one in systems if not lacking[one.key]]
    title = table.title.partition(":")[0]
    return Table(
        name=table.name,
        title=f"{table.title}, published checkpoints",
        rows=[_row(one, table, checkpoints, run) for one in measured],
        paper_only=[
            PaperRow(one.key, one.label, one.kind, _figures(one, table), note=_sentences(one, lacking[one.key]))
            for one in systems
            if lacking[one.key]
        ],
        by_answers=table.by_answers,
        orders=[
            Order(one.key, RERANKED, title) for one in measured if one.key != RERANKED and one.named.get(table.name)
        ],
        measures=table.measures,
        columns=table.columns,
        remarks=lambda runs, numbers: [*_measured(runs, numbers), *table.remarks(runs, numbers)],
        published_on=table.released.published_on,
    )


def _lacking(system: System, checkpoints: Checkpoints) -> str:
    """Return what has to be there and is not, of a re-ranker also what it re-ranks."""
    missing = checkpoints.missing(system)
    return missing or (checkpoints.missing(declared(RERANKED)) if system.kind == "reranker" else "")


def _row(
    system: System, table: Table, checkpoints: Checkpoints, run: Callable[[PipelineRuns, System, Checkpoints], RunStage]
) -> RowSpec:
    kind: Any = system.kind if system.kind in ("sparse", "reranker") else "dense"
    return RowSpec(
        system.key,
        system.label,
        kind,
        lambda runs: run(runs, system, checkpoints),
        _figures(system, table),
        _sentences(system, system.note),
    )


def _sentences(system: System, said: str) -> str:
    where = f"{system.source}; {system.link}." if system.link else f"{system.source}."
    return f"{system.label}: {where} {said}".strip()


def _figures(system: System, table: Table) -> dict[str, float]:
    """Return what is printed of a system: its authors' figures of this checkpoint, or the paper's."""
    if system.printed:
        return {column.key: system.printed[column.key] for column in table.columns if column.key in system.printed}
    return figures(table.name, table.columns, model=system.named[table.name])


def system_run(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> RunStage:
    """Return the runs of a published system, one stage however often it is asked for."""
    return _once(runs, f"{system.key}: runs", lambda: _system_run(runs, system, checkpoints))


def _system_run(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> RunStage:
    if system.kind == "sparse":
        return _prebuilt(runs, system, checkpoints)
    passages = _model(runs, system, checkpoints)
    if system.kind == "reranker":
        candidates = system_run(runs, declared(RERANKED), checkpoints)
        return runs.pipeline.add(
            Rerank.C(
                data=candidates.data,
                reranker=passages,
                candidates=candidates,
                splits=_test_splits(runs),
                depth=runs.scale.reranker.rerank_depth,
                max_length=system.passage_length,
            ),
            f"{system.label}: runs",
        )
    if system.kind == "multivector":
        return system_pipeline(runs, system, checkpoints).search_tokens(_test_splits(runs))
    if system.kind == "start":
        return system_pipeline(runs, system, checkpoints).fine_tuned()
    queries = passages if not system.query_checkpoint else _model(runs, system, checkpoints, system.query_checkpoint)
    return system_pipeline(runs, system, checkpoints).search(passages, queries, _test_splits(runs))


def _prebuilt(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> SearchPrebuilt:
    """Return the runs of a sparse system. Take ids and qrels from SimLM's collection if its checkpoint is there."""
    simlm = declared(RERANKED)
    name = checkpoints.name(system.checkpoint)
    digest = local_digest(name)
    return runs.pipeline.add(
        SearchPrebuilt.C(
            data=runs.pipeline.data if checkpoints.missing(simlm) else system_pipeline(runs, simlm, checkpoints).data,
            index=system.checkpoint,
            digest=digest,
            location=name if digest else "",
            k1=system.k1,
            b=system.b,
            splits=_test_splits(runs),
            depth=runs.scale.search.evaluation_depth,
        ),
        f"{system.label}: runs",
    )


def _test_splits(runs: PipelineRuns) -> list[str]:
    """Return all test splits; nothing is chosen on valid."""
    return ["test", *runs.scale.extra_test_splits]


def system_pipeline(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> SystemPipeline:
    """Return the pipeline over the collection as a system reads it."""
    model = _model(runs, system, checkpoints)
    return _once(runs, f"{system.key}: pipeline", lambda: SystemPipeline(runs.pipeline, system, model))


def _model(runs: PipelineRuns, system: System, checkpoints: Checkpoints, repository: str = "") -> PublicModel:
    repository = repository or system.checkpoint

    def made() -> PublicModel:
        folder = "" if checkpoints.folder is None else checkpoints.name(repository)
        return runs.pipeline.add(public_model(repository, folder, system.revisions[repository]), repository)

    return _once(runs, repository, made)


def _once(runs: PipelineRuns, name: str, made: Callable[[], Any]) -> Any:
    key = ("released", name)
    if key not in runs.made:
        runs.made[key] = made()
    return runs.made[key]


def _measured(runs: Sequence[RunStage], numbers: Callable[[Stage], dict[str, Any]]) -> list[str]:
    """Say which weights were measured."""
    said: dict[str, str] = {}
    for run in runs:
        if isinstance(run, SearchPrebuilt):
            said[run.index] = _of_reader(run.digest) if run.digest else "as Pyserini publishes it"
            continue
        models = [one for one in below(run).values() if isinstance(one, PublicModel)]
        said |= {one.name: _version(one, numbers(one)) for one in models}
    return [f"Measured were {'; '.join(f'{name}: {version}' for name, version in said.items())}."]


def _of_reader(digest: str) -> str:
    return f"a folder of the reader's, digest {digest[:12]}"


def _version(model: PublicModel, numbers: dict[str, Any]) -> str:
    if model.digest:
        return _of_reader(model.digest)
    if COMMIT.fullmatch(model.revision):
        return f"commit {model.revision}"
    return f"{model.revision}, which no record pins and which was commit {numbers.get('commit', 'unknown')}"
