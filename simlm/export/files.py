"""Files that other implementations read: run files, and those from which the released one trains and evaluates.

In the files of the released implementation a passage's id is its line number in passages.jsonl.gz, from 0 and as a
string; every other file uses that id.
"""

import gzip
import io
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np

from simlm.data.collection import Collection, Passage, Query
from simlm.data.ids import IdTable
from simlm.data.store import Qrels, TokenisedCollection
from simlm.errors import UserError
from simlm.finetuning.negatives import Indices, NegativeLists
from simlm.finetuning.teacher import TeacherScores
from simlm.progress import Bar
from simlm.retrieval.runs import PADDING, Run, read_run_ids

Row = TypeVar("Row", Passage, Query)

OUTSIDE = -1.0
"""The score of a passage that is not in the run: a positive that was not found, or a random negative."""

SPLITS = {"valid": "dev"}
"""The released names of splits that are called otherwise here."""


TRAINING_README = """# What {what} was trained from

The files of the released implementation of SimLM (Wang et al., ACL 2023), from {collection} at this scale.

- `passages.jsonl.gz` (id, contents, title): the id is the line number, from 0, and every file here uses it;
  `passage_ids.tsv` has the collection's own id beside it.
- `train.jsonl`, `dev.jsonl`: a query with its positives and negatives, each with its score in the run that the
  negatives come from{ranks}; -1 for a passage that is not in that run. `dev` is the split called valid here.
- `*_queries.tsv` (query id, text) and `*_qrels.txt` (query id, 0, passage id, label), between tabs.
{teacher}"""
RANKS_README = " (1 / rank: these negatives come with the collection, as lists without scores)"
TEACHER_README = """- `kd_train.jsonl`: the same lists with the re-ranker's raw logits, of those passages only that the
  distillation draws. There is no `kd_dev.jsonl`: no teacher scores are made for it.
"""


def released_name(split: str) -> str:
    """Return what the released files call a split."""
    return SPLITS.get(split, split)


def write_training(
    folder: Path,
    what: str,
    collection: TokenisedCollection,
    source: Collection,
    lists: Mapping[str, tuple[NegativeLists, Run]],
    graded: bool,
    teacher: TeacherScores | None,
) -> None:
    """Write all files that a model was trained from, and a README.md about them.

    Args:
        folder: Where they go.
        what: The model's name for readers.
        collection: The tokenised collection.
        source: The same collection's texts.
        lists: Of each split that the model trains or is judged on, its lists and the run that they were made from.
        graded: As in `write_lists`.
        teacher: The teacher scores of the training lists, where the model was distilled.

    Raises:
        UserError: The collection has changed since it was tokenised.
    """
    write_passages(folder, source.passages(), collection.passages.ids)
    for split in collection.splits:
        ids = collection.queries(split).ids
        write_queries(folder, split, source.queries(split), ids)
        lines = range(len(collection.passages))
        write_qrels(folder / f"{released_name(split)}_qrels.txt", collection.qrels(split), ids, lines)
    for split, (found, run) in lists.items():
        ids = collection.queries(split).ids
        name = released_name(split)
        write_lists(folder / f"{name}.jsonl", found, run, source.queries(split), ids, graded)
        if teacher is not None and split == "train":
            write_teacher(folder / f"kd_{name}.jsonl", found, teacher, source.queries(split), ids)
    readme = TRAINING_README.format(
        what=what,
        collection=source.name,
        ranks="" if graded else RANKS_README,
        teacher=TEACHER_README if teacher is not None else "",
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")


def write_passages(folder: Path, passages: Iterable[Passage], ids: IdTable) -> None:
    """Write passages.jsonl.gz (id, contents, title) and passage_ids.tsv (line number, the collection's own id).

    ``ids`` are the tokenised collection's; UserError where the passages are others, or in another order. The same
    passages give the same bytes.
    """
    with (
        _gzipped(folder / "passages.jsonl.gz") as file,
        (folder / "passage_ids.tsv").open("w", encoding="utf-8", newline="\n") as names,
    ):
        rows = _as_tokenised(passages, ids, "passage")
        for number, passage in enumerate(Bar(rows, desc="passages", total=len(ids), unit=" passages")):
            _write_line(file, {"id": str(number), "contents": passage.text, "title": passage.title})
            names.write(f"{number}\t{passage.id}\n")


def write_queries(folder: Path, split: str, queries: Iterable[Query], ids: IdTable) -> None:
    """Write a split's *_queries.tsv: query id and text, in which a tab or line end becomes a space."""
    with (folder / f"{released_name(split)}_queries.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for query in _as_tokenised(queries, ids, "query"):
            text = re.sub(r"[\t\r\n]+", " ", query.text)
            file.write(f"{query.id}\t{text}\n")


def write_qrels(path: Path, qrels: Qrels, queries: IdTable, passages: IdTable | range) -> None:
    """Write judgements: query id, 0, what ``passages`` calls the passage, and grade, between tabs."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query, passage, grade in zip(qrels.query, qrels.passage, qrels.grade, strict=True):
            file.write(f"{queries[int(query)]}\t0\t{passages[int(passage)]}\t{grade}\n")


def write_lists(
    path: Path, lists: NegativeLists, run: Run, queries: Iterable[Query], ids: IdTable, graded: bool = True
) -> None:
    """Write train.jsonl or dev.jsonl: a line a list, with the run's scores and ``OUTSIDE`` for what it does not hold.

    Args:
        path: The file.
        lists: Positives and negatives of queries.
        run: What the lists were made from, over all queries of the split.
        queries: Those of the split, in their order.
        ids: Of the split's tokenised queries.
        graded: Whether the run's scores mean more than ranks; otherwise 1 / rank is written.
    """

    def scored(j: int, query: int) -> tuple[Indices, Indices, dict[int, float]]:
        found = run.indices[query]
        count = int((found != PADDING).sum())
        scores = run.scores[query, :count] if graded else 1 / np.arange(1, count + 1, dtype=np.float32)
        known = dict(zip(found[:count].tolist(), scores.tolist(), strict=True))
        return lists.positives_of(j), lists.negatives[j], known

    with path.open("w", encoding="utf-8", newline="\n") as file:
        for j, query in _with_lists(path, lists, queries, ids):
            positives, negatives, known = scored(j, int(lists.queries[j]))
            _write_group(file, query, positives, negatives, known)


def write_teacher(
    path: Path, lists: NegativeLists, teacher: TeacherScores, queries: Iterable[Query], ids: IdTable
) -> None:
    """Write kd_train.jsonl: a line a list, with the teacher's raw logits.

    Only pairs that have a logit are written, in the order of the lists: distillation scores what its windows draw and
    nothing else. A list without a scored positive or negative is left out. Arguments are as in `write_lists`.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for j, query in _with_lists(path, lists, queries, ids):
            passages, scores = teacher.of(int(lists.queries[j]))
            known = dict(zip(passages.tolist(), scores.tolist(), strict=True))
            positives, negatives = (row[np.isin(row, passages)] for row in (lists.positives_of(j), lists.negatives[j]))
            if len(positives) and len(negatives):
                _write_group(file, query, positives, negatives, known)


def write_runs(sources: dict[str, Path], folder: Path) -> None:
    """Write each split's TREC run file as `<split>.trec` and, the same, as `<split>.msmarco.txt`.

    A line of the latter is query id, passage id, rank (from 1) and score, between tabs; its scores are the TREC file's,
    digit by digit, so strictly decreasing. UserError, with file and line, for a damaged run.
    """
    for split, source in sources.items():
        shutil.copyfile(source, folder / f"{split}.trec")
        target = folder / f"{split}.msmarco.txt"
        with target.open("w", encoding="utf-8", newline="\n") as file:
            for query, passages, scores in Bar(read_run_ids(source), desc=f"{split} run", unit=" queries"):
                file.writelines(
                    f"{query}\t{passage}\t{rank}\t{score:.9g}\n"
                    for rank, (passage, score) in enumerate(zip(passages, scores, strict=True), start=1)
                )


def _write_group(file: TextIO, query: Query, positives: Indices, negatives: Indices, known: dict[int, float]) -> None:
    def side(passages: Indices) -> dict[str, list[str] | list[float]]:
        numbers = passages.tolist()
        # Nine digits tell any two float32 apart.
        scores = [float(f"{known.get(number, OUTSIDE):.9g}") for number in numbers]
        return {"doc_id": [str(number) for number in numbers], "score": scores}

    content = {"query_id": query.id, "query": query.text, "positives": side(positives), "negatives": side(negatives)}
    _write_line(file, content)


def _with_lists(
    path: Path, lists: NegativeLists, queries: Iterable[Query], ids: IdTable
) -> Iterator[tuple[int, Query]]:
    """Yield the number of each list with its query: both are in the order of the store."""
    j = 0
    with Bar(total=len(lists), desc=path.name, unit=" queries") as bar:
        for number, query in enumerate(_as_tokenised(queries, ids, "query")):
            if j < len(lists) and lists.queries[j] == number:
                yield j, query
                j += 1
                bar.update(1)


def _as_tokenised(rows: Iterable[Row], ids: IdTable, kind: str) -> Iterator[Row]:
    """Yield the rows, each of which must be the one that was tokenised at its place."""
    number = -1
    for number, row in enumerate(rows):
        if number >= len(ids) or ids[number] != row.id:
            raise _changed(kind, number + 1)
        yield row
    if number + 1 != len(ids):
        raise _changed(kind, number + 2)


def _changed(kind: str, place: int) -> UserError:
    return UserError(
        f"the {kind} in place {place} of the collection is not the one that was tokenised: the collection has changed, "
        "make the stages again in a new results folder"
    )


def _write_line(file: TextIO, content: Mapping[str, object]) -> None:
    file.write(json.dumps(content, ensure_ascii=False) + "\n")


@contextmanager
def _gzipped(path: Path) -> Iterator[TextIO]:
    """Open a gzipped text file that names neither itself nor the time."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        yield file
