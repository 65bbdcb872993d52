"""Runs judged by the answers that their passages contain instead of by qrels: the NQ protocol (Table 4)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimaestro import Param

from simlm.retrieval.runs import Run
from simlm.stages.data import Prepare
from simlm.stages.libraries import LIBRARIES
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

if TYPE_CHECKING:
    import pandas as pd


class Answers(Stage):
    """A stage that leaves the answers of a collection's queries."""

    imports = LIBRARIES

    data: Param[Prepare]
    splits: Param[list[str]]

    def path(self, split: str) -> Path:
        """The answers of a split, a JSON object a line."""
        return self.folder / f"{split}.answers.jsonl"


class GivenAnswers(Answers):
    """The answers that come with a collection, for the splits that have them."""

    def run(self) -> dict[str, Any]:
        from simlm.evaluation.derived_answers import write_texts

        source = self.data.source()
        figures: dict[str, Any] = {}
        for split in self.splits:
            found = dict(source.answers[split]())
            write_texts(self.path(split), found)
            figures[split] = {"questions": len(found), "answers": sum(map(len, found.values()))}
        return figures


class DerivedAnswers(Answers):
    """Answers of a collection's queries, ``words`` long, for one that has none (`simlm.evaluation.derived_answers`)."""

    words: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.evaluation.derived_answers import derive_answers, write_answers

        figures: dict[str, Any] = {}
        for split, answers in derive_answers(self.data.source(), self.splits, self.words).items():
            write_answers(self.path(split), answers)
            found = [answer.passages for row in answers.values() for answer in row]
            figures[split] = {
                "answers": len(found),
                "in one passage": sum(passages == 1 for passages in found),
                "most passages": max(found, default=0),
                "questions without": sum(not row for row in answers.values()),
            }
        return figures


class Answered(RunStage):
    """The first ``depth`` passages of a run, with the Success@20 and Success@100 of every query of a split.

    A passage is relevant here when its text contains an answer of the query; what the qrels say does not count.
    """

    ranked: Param[RunStage]
    answers: Param[Answers]
    splits: Param[list[str]]
    depth: Param[int]

    @property
    def origin(self) -> RunStage:
        return self.ranked.origin

    def run(self) -> dict[str, Any]:
        collection = self.data.open()
        figures: dict[str, Any] = {}
        for split in self.splits:
            run = self.ranked.load(split)
            first = Run(run.query_ids, run.indices[:, : self.depth], run.scores[:, : self.depth])
            figures |= self.leave(split, first, collection)
        return figures

    def judged(self, split: str) -> bool:
        return True

    def measured(self, split: str) -> "pd.DataFrame":
        from simlm.evaluation.answers import MEASURES
        from simlm.evaluation.measures import evaluate

        return evaluate(self.trec(split), self.judgements(split), MEASURES)

    def judgements(self, split: str) -> dict[str, dict[str, int]]:
        """The passages of a split's run that contain an answer, with grade 1; every query of the split is there."""
        from simlm.evaluation.answering import answering
        from simlm.evaluation.derived_answers import read_answers

        answers = dict(read_answers(self.answers.path(split)))
        run, ids = self.load(split), self.data.open().passages.ids
        hits = answering(run.indices, [answers[query] for query in run.query_ids], self.data.source().passages())
        found: dict[str, dict[str, int]] = {query: {} for query in answers}
        for row, query in enumerate(run.query_ids):
            found[query] = {ids[index]: 1 for index in run.indices[row, hits[row]].tolist()}
        return found
