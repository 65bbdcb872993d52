"""Answers of questions: where they come from, which passages of a run contain one, and training lists by them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simlm.data.collection import Collection
from simlm.data.ids import IdTable
from simlm.data.store import Qrels
from simlm.evaluation.answers import MEASURES, contains_answer
from simlm.evaluation.derived_answers import derive_answers, read_answers, write_answers
from simlm.evaluation.measures import evaluate
from simlm.finetuning.answered import answered_lists, concatenated, shuffled
from simlm.finetuning.negatives import Indices
from simlm.retrieval.runs import Run

LABELLED = 2
"""The grade of a passage that was marked as an answer's source; below it are those that BM25 found to hold one."""


def leave_given_answers(source: Collection, split: str, path: Path) -> dict[str, int]:
    """Write the answers that come with a split of a collection; return the figures."""
    found = dict(source.answers[split]())
    write_answers(path, found)
    return {"questions": len(found), "answers": sum(map(len, found.values()))}


def leave_derived_answers(source: Collection, paths: dict[str, Path], words: int) -> dict[str, Any]:
    """Derive answers of so many words for the splits of ``paths`` and write them there; return the figures."""
    figures: dict[str, Any] = {}
    for split, answers in derive_answers(source, list(paths), words).items():
        write_answers(paths[split], answers)
        found = [answer.passages for row in answers.values() for answer in row]
        figures[split] = {
            "answers": len(found),
            "in one passage": sum(passages == 1 for passages in found),
            "most passages": max(found, default=0),
            "questions without": sum(not row for row in answers.values()),
        }
    return figures


def measure_answered(source: Collection, trec: Path, run: Run, ids: IdTable, path: Path) -> pd.DataFrame:
    """Measure a run per question: a passage is relevant when its text contains an answer.

    Args:
        source: the collection, whose texts are read.
        trec: the run as a TREC file.
        run: the same with passage indices.
        ids: the passages' names.
        path: the answers of the run's questions.
    """
    answers = dict(read_answers(path))
    hits = contains_answer(run.indices, [answers[query] for query in run.query_ids], source.passages())
    qrels: dict[str, dict[str, int]] = {query: {} for query in answers}
    for row, query in enumerate(run.query_ids):
        qrels[query] = {ids[index]: 1 for index in run.indices[row, hits[row]].tolist()}
    return evaluate(trec, qrels, MEASURES)


def leave_answer_sets(
    source: Collection, qrels: Qrels, runs: Sequence[Run], path: Path, depth: int, seed: int, output: Path
) -> dict[str, Any]:
    """Write the training lists of several runs over the same questions; return the figures.

    Args:
        source: the collection, whose texts are read once for all runs.
        qrels: the split's, which mark the sources of answers.
        runs: the ranked passages of all questions, in the store's order.
        path: the answers of the questions.
        depth: passages of each run that a question's list is made of.
        seed: keys the order of negatives.
        output: the folder that the lists are left in.
    """
    known = dict(read_answers(path))
    tops = [Run(run.query_ids, np.asarray(run.indices[:, :depth]), np.asarray(run.scores[:, :depth])) for run in runs]
    answers = [known.get(query, []) for query in tops[0].query_ids]
    # Side by side, so that the corpus is read once for all of them.
    hits = contains_answer(np.concatenate([run.indices for run in tops], axis=1), answers, source.passages())
    parts = np.split(hits, np.cumsum([run.indices.shape[1] for run in tops])[:-1], axis=1)
    labelled = partial(_labelled, qrels)
    sets = [shuffled(answered_lists(run, part, labelled, depth), seed) for run, part in zip(tops, parts, strict=True)]
    lists = concatenated(sets)
    lists.save(output)
    return {
        "lists of each run": [len(one) for one in sets],
        "positives": len(lists.positives),
        "negatives": int((lists.negatives >= 0).sum()),
    }


def _labelled(qrels: Qrels, query: int) -> Indices:
    """Return the first passage that was marked as the source of a query's answer, (1,); (0,) when there is none."""
    start, end = np.searchsorted(qrels.query, [query, query + 1])
    found: Indices = qrels.passage[start:end][qrels.grade[start:end] >= LABELLED][:1]
    return found
