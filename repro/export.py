"""Export a table's rows in formats that other tools read: models, runs and training files. Nothing is trained.

`python -m repro.export --help` lists the options.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import tyro

from repro.command import Options, main, refuse
from repro.run_values import SPLIT, output_of
from repro.table import RowSpec, at_scale
from repro.tables import TABLES
from simlm.commands.checks import check_known, check_writable
from simlm.commands.dryrun import print_plan
from simlm.data.store import TokenisedCollection
from simlm.errors import UserError
from simlm.export.folder import check_target, export_folder
from simlm.files import lock
from simlm.finetuning.teacher import TeacherScores
from simlm.scales.settings import NegativesSettings
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage, load_run
from simlm.stages.sets import AnswerSets
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import Planned, job_of, plan
from simlm.workflow.stage import Stage

DESCRIPTION = """Write the rows of a table, as they lie in a results folder, in formats that other tools read.

A row's folder holds up to three, each there when it is whole:
  model      a retriever for AutoModel and sentence-transformers, a re-ranker for its CrossEncoder
  runs       run files, TREC's and MS MARCO's, and the judgements they are measured against
  training   what the model was trained from, in the released implementation's files

Nothing is trained: where a stage is to do, the command that makes it is named. An earlier export is replaced; anything
else in its place is left alone, and refused.

Examples:
  python -m repro.export                                      all of Table 2, at mini scale, to exports/mini/table2/
  python -m repro.export --rows simlm reranker --what model   two models
  python -m repro.export --rows simlm --what model --check    a model, held against this repository's scores
  python -m repro.export --rows simlm --what training         passages, lists of negatives, teacher scores
  python -m repro.export --table table7 --rows mlm --to DIR   a row of another table, to another place
  python -m repro.export --dry-run                            what would be written, and which stages are lacking
"""

WHAT = ("model", "runs", "training")


@dataclass(frozen=True)
class ExportOptions(Options):
    """What to export, and where to."""

    rows: tuple[str, ...] = ()
    """Keys of the rows to export, e.g. --rows simlm reranker; all of the table's when left out."""
    table: str = "table2"
    """The table whose rows are exported."""
    what: tuple[str, ...] = ()
    """model, runs and training, or some of them; whatever a row has when left out."""
    check: bool = False
    """Score up to 200 test questions with each exported model under sentence-transformers (extra test); say how far
    the scores lie from ours in float32 and from the run's, and what RR@10 becomes. A model whose scores are not ours
    (docs/exports.md) is not exported, and the command stops; what came before it stays."""
    to: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("exports")
    """Folder to write to: DIR/<scale>/<table>/<row>/."""

    @property
    def target(self) -> Path:
        """Where the rows' folders go; another seed or other negatives have a folder of their own."""
        return self.to / self.scale / self.table / replace(self, rows=()).variant


def run(options: ExportOptions) -> None:
    """Export the chosen rows; nothing is written before everything has been checked."""
    refuse(options, "repro.export", "publish", "device", "processes", "search", "rehearse")
    check_known("table", options.table, TABLES)
    for name in options.what:
        check_known("kind of export", name, WHAT)
    check_writable("--to", options.to)
    table = at_scale(TABLES[options.table](), options.open_scale())
    rows = table.chosen(options.rows)

    def build(submit: Any) -> dict[str, RunStage]:
        runs = options.pipeline_runs(submit)
        return {row.key: row.run(runs).origin for row in rows}

    stages, runs = plan(build, options.results)
    wanted = [one for row in rows for one in _wanted(row, runs[row.key], options)]
    if options.check and find_spec("sentence_transformers") is None:
        raise UserError(
            "--check needs sentence-transformers, which is not installed: pip install 'sentence-transformers>=6.2'"
        )
    if options.check and not any(one.check for one in wanted):
        raise UserError("--check scores with exported models, and none is to be exported: leave it out")
    if options.dry_run:
        print_plan(stages, options.scale, options.results, options.choices())
        print("to write: " + ", ".join(str(options.target / one.name) for one in wanted))
        return
    _check_made(stages, options)
    for one in wanted:
        check_target(options.target / one.name)
    _write(wanted, options)


def _check_made(stages: Sequence[Planned], options: ExportOptions) -> None:
    lacking = [stage for stage in stages if not stage.finished]
    if not lacking:
        return
    words = ["python", "-m", f"repro.{options.table}", "--scale", options.scale, "--results", str(options.results)]
    words += ["--collection", options.collection] if options.collection else []
    words += ["--rows", *options.rows] if options.rows else []
    words += ["--negatives", options.negatives] if options.negatives != "bm25" else []
    words += ["--seed", str(options.seed)] if options.seed else []
    words += ["--precision", options.precision] if options.precision != "auto" else []
    words += ["--keep-own-passages"] if options.keep_own_passages else []
    raise UserError(
        f"--results {options.results}: {len(lacking)} of {len(stages)} stages are not made, {lacking[0].name!r} is the "
        f"first ({lacking[0].reason}); make them with: {shlex.join(words)}"
    )


@dataclass(frozen=True)
class Export:
    """A folder to write: its name below the target, the hashes of the stages it comes from, and what fills it."""

    name: str
    stages: Mapping[str, str]
    write: Callable[[Path], None]
    check: Callable[[Path], str] | None = None
    """What `--check` does with the folder; returns what a user is told."""


@dataclass(frozen=True)
class Training:
    """What a model was trained from."""

    run: RunStage
    lists: NegativesSettings
    seed: int
    teacher: TeacherScoresOf | None = None


def exports_of(row: RowSpec, run: RunStage) -> dict[str, Export]:
    """Return a row's exports by kind, for a run whose stages are planned; nothing is read."""
    model, training = _model_of(run), None
    if isinstance(model, TrainRetriever):
        settings = model.settings
        training = Training(model.negatives, settings.negatives, settings.optimisation.seed, model.teacher)
    elif isinstance(model, TrainReranker):
        training = Training(model.candidates, model.settings.negatives, model.settings.optimisation.seed)

    def export(kind: str, write: Callable[[Path], None], **stages: Stage) -> Export:
        return Export(f"{row.key}/{kind}", {name: job_of(one).name for name, one in stages.items()}, write)

    found: dict[str, Export] = {}
    if isinstance(run, Retrieve | Rerank) and model is not None:
        written = export("model", partial(_write_model, run, model, row.label), model=model)
        found["model"] = replace(written, check=partial(_check_model, run, model))
    found["runs"] = export("runs", partial(_write_runs, run), run=run)
    # The released files of a training hold one run's lists, which several sets are not.
    if training is not None and model is not None and not isinstance(training.run, AnswerSets):
        teacher: dict[str, Stage] = {} if training.teacher is None else {"teacher": training.teacher}
        write = partial(_write_training, training, row.label)
        found["training"] = export("training", write, negatives=training.run, **teacher)
    return found


def _wanted(row: RowSpec, run: RunStage, options: ExportOptions) -> list[Export]:
    """Return a row's exports of the kinds that were asked for."""
    found = exports_of(row, run)
    for name in options.what:
        if name not in found:
            raise UserError(
                f"row {row.key!r} of {options.table} has no {name} to export, only {', '.join(found)}: leave out "
                f"--what {name}, or choose other --rows"
            )
    return [export for name, export in found.items() if not options.what or name in options.what]


def _model_of(run: RunStage) -> EncoderStage | None:
    if isinstance(run, Retrieve):
        return run.retriever
    return run.reranker if isinstance(run, Rerank) else None


def _write_model(run: Retrieve | Rerank, model: EncoderStage, label: str, folder: Path) -> None:
    from simlm.export.models import write_reranker, write_retriever  # torch, which a refusal does not wait for

    source = output_of(model) / "model"
    numbers = (read_manifest(job_of(model)) or {})["numbers"]
    what = f"{label}, on {run.data.source().name}"
    if isinstance(run, Rerank):
        titled = _collection(run.data).passages.has_titles
        write_reranker(source, folder, what, run.max_length, titled, numbers)
    else:
        write_retriever(source, folder, what, run.query_length, run.passage_length, _titles(run.data), numbers)


def _check_model(run: Retrieve | Rerank, model: EncoderStage, folder: Path) -> str:
    from simlm.export.check import Sample, check_reranker, check_retriever

    source, collection = output_of(model) / "model", _collection(run.data)
    ranked = load_run(output_of(run), SPLIT, collection)
    sample = Sample(collection, run.data.source(), SPLIT, ranked, run.depth)
    if isinstance(run, Rerank):
        found = check_reranker(source, folder, sample, run.max_length)
    else:
        found = check_retriever(source, folder, sample, run.query_length, run.passage_length, _titles(run.data))
    return found.told(run.precision)


def _titles(data: Prepare) -> Any:
    """Return how a retriever was given titles, one of `simlm.export.models.Titles`."""
    return "pair" if _collection(data).passages.has_titles else "joined" if data.source().has_titles else "none"


def _write_runs(run: RunStage, folder: Path) -> None:
    from simlm.export.files import write_qrels, write_runs

    runs = {path.stem: path for path in sorted(output_of(run).glob("*.run"))}
    write_runs(runs, folder)
    collection = _collection(run.data)
    for split in runs:
        if len(qrels := collection.qrels(split)):
            ids = collection.queries(split).ids, collection.passages.ids
            write_qrels(folder / f"{split}.qrels", qrels, *ids)


def _write_training(training: Training, label: str, folder: Path) -> None:
    from simlm.export.files import write_training

    run, collection = training.run, _collection(training.run.data)
    runs = {split: load_run(output_of(run), split, collection) for split in (MINED_SPLIT, "valid")}
    lists = {
        split: (run.lists_of(found, collection, split, training.lists, training.seed), found)
        for split, found in runs.items()
    }
    teacher = None if training.teacher is None else TeacherScores.open(output_of(training.teacher) / "scores")
    graded = not isinstance(run, PackageLists)
    write_training(folder, label, collection, run.data.source(), lists, graded, teacher)


def _collection(data: Prepare) -> TokenisedCollection:
    return TokenisedCollection.open(output_of(data) / "store")


def _write(wanted: Sequence[Export], options: ExportOptions) -> None:
    try:
        options.target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--to {options.to}: {error.strerror}; choose another folder") from None
    made_by: Mapping[str, Any] = {
        "table": options.table,
        "scale": options.scale,
        "seed": options.seed,
        "negatives": options.negatives,
    }
    with lock(options.target / "export.lock"):
        for number, one in enumerate(wanted, start=1):
            folder = options.target / one.name
            with export_folder(folder, {**made_by, "export": one.name, "stages": one.stages}) as partial:
                one.write(partial)
                told = [one.check(partial)] if options.check and one.check else []
            print(f"{number}/{len(wanted)}: {folder}", *told, sep="\n  ", flush=True)


if __name__ == "__main__":
    main(run, DESCRIPTION, ExportOptions)
