"""What a row of a table can be exported as, and from which stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from repro.origin import output_of
from repro.table import RowSpec
from simlm.finetuning.negatives import lists_of_split
from simlm.finetuning.teacher import TeacherScores
from simlm.scales.settings import NegativesSettings
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage, load_run
from simlm.stages.sets import AnswerSets
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of
from simlm.workflow.stage import Stage

if TYPE_CHECKING:
    # Importing ir_datasets makes folders below HOME: a command has its options checked first.
    from simlm.data.store import TokenisedCollection
    from simlm.export.retriever import Titles

LISTED = (MINED_SPLIT, "valid")
"""The splits that a model trains or is judged on, which have lists of negatives."""

TRAINING = """# What {what} was trained from

The files of the released implementation of SimLM (Wang et al., ACL 2023), from {collection} at this scale.

- `passages.jsonl.gz` (id, contents, title): the id is the line number, from 0, and every file here uses it;
  `passage_ids.tsv` has the collection's own id beside it.
- `train.jsonl`, `dev.jsonl`: a query with its positives and negatives, each with its score in the run that the
  negatives come from{ranks}; -1 for a passage that is not in that run. `dev` is the split called valid here.
- `*_queries.tsv` (query id, text) and `*_qrels.txt` (query id, 0, passage id, label), between tabs.
{teacher}"""
RANKS = " (1 / rank: these negatives come with the collection, as lists without scores)"
TAUGHT = """- `kd_train.jsonl`: the same lists with the re-ranker's raw logits, of those passages only that the
  distillation draws. There is no `kd_dev.jsonl`: no teacher scores are made for it.
"""


@dataclass(frozen=True)
class Export:
    """A folder to write: its name below the target, the hashes of the stages it comes from, and what fills it."""

    name: str
    stages: Mapping[str, str]
    write: Callable[[Path], None]


@dataclass(frozen=True)
class _Training:
    """What a model was trained from."""

    run: RunStage
    lists: NegativesSettings
    seed: int
    teacher: TeacherScoresOf | None = None


def exports_of(row: RowSpec, run: RunStage) -> dict[str, Export]:
    """A row's exports by kind, for a run whose stages are planned; nothing is read."""
    model, training = _model_of(run), None
    if isinstance(model, TrainRetriever):
        settings = model.settings
        training = _Training(model.negatives, settings.negatives, settings.optimisation.seed, model.teacher)
    elif isinstance(model, TrainReranker):
        training = _Training(model.candidates, model.settings.negatives, model.settings.optimisation.seed)

    def export(kind: str, write: Callable[[Path], None], **stages: Stage) -> Export:
        return Export(f"{row.key}/{kind}", {name: job_of(one).name for name, one in stages.items()}, write)

    found: dict[str, Export] = {}
    if isinstance(run, Retrieve | Rerank) and model is not None:
        found["model"] = export("model", partial(_write_model, run, model, row.label), model=model)
    found["runs"] = export("runs", partial(_write_runs, run), run=run)
    # The released files of a training hold one run's lists, which several sets are not.
    if training is not None and model is not None and not isinstance(training.run, AnswerSets):
        teacher: dict[str, Stage] = {} if training.teacher is None else {"teacher": training.teacher}
        write = partial(_write_training, training, row.label)
        found["training"] = export("training", write, negatives=training.run, **teacher)
    return found


def _model_of(run: RunStage) -> EncoderStage | None:
    if isinstance(run, Retrieve):
        return run.retriever
    return run.reranker if isinstance(run, Rerank) else None


def _write_model(run: Retrieve | Rerank, model: EncoderStage, label: str, folder: Path) -> None:
    from simlm.export.reranker import write_reranker
    from simlm.export.retriever import write_retriever

    source = output_of(model) / "model"
    numbers = (read_manifest(job_of(model)) or {})["numbers"]
    what = f"{label}, on {_collection(run.data).meta['name']}"
    if isinstance(run, Rerank):
        titled = _collection(run.data).passages.has_titles
        write_reranker(source, folder, what, run.max_length, titled, numbers)
    else:
        write_retriever(source, folder, what, run.query_length, run.passage_length, _titles(run.data), numbers)


def _write_runs(run: RunStage, folder: Path) -> None:
    from simlm.export.runs import write_runs

    files = {path.stem: path for path in sorted(output_of(run).glob("*.run"))}
    write_runs(files, folder)


def _write_training(training: _Training, label: str, folder: Path) -> None:
    from simlm.export.released import (
        released_name,
        write_lists,
        write_passages,
        write_qrels,
        write_queries,
        write_teacher,
    )

    run = training.run
    collection, source = _collection(run.data), run.data.source()
    passages = collection.passages.ids
    write_passages(folder, source.passages(), passages)
    for split in collection.splits:
        ids = collection.queries(split).ids
        write_queries(folder, split, source.queries(split), ids)
        write_qrels(folder, split, collection.qrels(split), ids)
    graded = not isinstance(run, PackageLists)
    for split in LISTED:
        ids = collection.queries(split).ids
        found = load_run(output_of(run), split, collection)
        lists = lists_of_split(found, collection, split, training.lists, training.seed)
        write_lists(folder / f"{released_name(split)}.jsonl", lists, found, source.queries(split), ids, graded)
        if training.teacher is not None and split == MINED_SPLIT:
            teacher = TeacherScores.open(output_of(training.teacher) / "scores")
            write_teacher(folder / f"kd_{released_name(split)}.jsonl", lists, teacher, source.queries(split), ids)
    readme = TRAINING.format(
        what=label,
        collection=collection.meta["name"],
        ranks="" if graded else RANKS,
        teacher=TAUGHT if training.teacher is not None else "",
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _collection(data: Prepare) -> "TokenisedCollection":
    from simlm.data.store import TokenisedCollection

    return TokenisedCollection.open(output_of(data) / "store")


def _titles(data: Prepare) -> "Titles":
    if _collection(data).passages.has_titles:
        return "pair"
    return "joined" if data.source().has_titles else "none"
