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
        """Return where the answers of a split are, a JSON object a line."""
        return self.folder / f"{split}.answers.jsonl"


class GivenAnswers(Answers):
    """The answers that come with a collection, for the splits that have them."""

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.answers import leave_given_answers

        source = self.data.source()
        return {split: leave_given_answers(source, split, self.path(split)) for split in self.splits}


class DerivedAnswers(Answers):
    """Answers of a collection's queries, ``words`` long, for one that has none (`simlm.evaluation.derived_answers`)."""

    words: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.answers import leave_derived_answers

        return leave_derived_answers(self.data.source(), {split: self.path(split) for split in self.splits}, self.words)


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

    def relevant_grade(self, split: str) -> int:
        return 1  # of a passage with an answer

    def judged(self, split: str) -> bool:
        return True

    def measured(self, split: str) -> "pd.DataFrame":
        from simlm.stages.work.answers import measure_answered

        ids = self.data.open().passages.ids
        return measure_answered(self.data.source(), self.trec(split), self.load(split), ids, self.answers.path(split))
