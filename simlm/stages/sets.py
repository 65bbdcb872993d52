"""What Natural Questions' models train on: lists of positives and negatives told apart by answers."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from experimaestro import Param

from simlm.retrieval.runs import Run
from simlm.stages.answers import Answers
from simlm.stages.runs import MINED_SPLIT, RunStage

if TYPE_CHECKING:
    from simlm.data.store import Qrels
    from simlm.finetuning.negatives import Indices, NegativeLists

LABELLED = 2
"""The grade of a passage that was marked as an answer's source; below it are those that BM25 found to hold one."""


class AnswerSets(RunStage):
    """The sets of several runs, concatenated: lists in place of a run (`simlm.finetuning.answered`).

    The lists of valid are those of the last run alone: within an evaluation batch a question that came twice would
    compete with itself.
    """

    runs: Param[list[RunStage]]
    answers: Param[Answers]
    depth: Param[int]
    """Passages of each run that a question's list is made of."""

    def run(self) -> dict[str, Any]:
        from simlm.evaluation.answering import answering
        from simlm.evaluation.derived_answers import read_answers
        from simlm.finetuning.answered import answered_lists, concatenated

        collection, source = self.data.open(), self.data.source()
        figures: dict[str, Any] = {}
        for split, stages in ((MINED_SPLIT, self.runs), ("valid", self.runs[-1:])):
            qrels = collection.qrels(split)
            known = dict(read_answers(self.answers.path(split)))
            runs = [_first(stage.load(split), self.depth) for stage in stages]
            # Side by side, so that the corpus is read once for all of them.
            answers = [known.get(query, []) for query in runs[0].query_ids]
            hits = answering(np.concatenate([run.indices for run in runs], axis=1), answers, source.passages())
            parts = np.split(hits, np.cumsum([run.indices.shape[1] for run in runs])[:-1], axis=1)
            sets = [
                answered_lists(run, part, partial(labelled, qrels), self.depth)
                for run, part in zip(runs, parts, strict=True)
            ]
            lists = concatenated(sets)
            lists.save(self.folder / split)
            figures[split] = {
                "lists of each run": [len(one) for one in sets],
                "positives": len(lists.positives),
                "negatives": int((lists.negatives >= 0).sum()),
            }
        return figures

    def lists(self, split: str) -> "NegativeLists":
        """The lists of train or valid, their arrays memory-mapped."""
        from simlm.finetuning.negatives import NegativeLists

        return NegativeLists.open(self.folder / split)


def labelled(qrels: "Qrels", query: int) -> "Indices":
    """The passages that were marked as the source of a query's answer, ascending; empty when there are none."""
    start, end = np.searchsorted(qrels.query, [query, query + 1])
    found: Indices = qrels.passage[start:end][qrels.grade[start:end] >= LABELLED]
    return found


def _first(run: Run, depth: int) -> Run:
    return Run(run.query_ids, np.asarray(run.indices[:, :depth]), np.asarray(run.scores[:, :depth]))
