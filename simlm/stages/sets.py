"""What Natural Questions' models train on: lists of positives and negatives told apart by answers."""

from typing import Any

from experimaestro import Param

from simlm.finetuning.negatives import NegativeLists
from simlm.scales.settings import NegativesSettings
from simlm.stages.answers import Answers
from simlm.stages.runs import MINED_SPLIT, RunStage


class AnswerSets(RunStage):
    """The sets of several runs, concatenated: lists in place of a run (`simlm.finetuning.answered`).

    The lists of valid are those of the first run alone, as the released scripts judge on their dev file.
    """

    runs: Param[list[RunStage]]
    answers: Param[Answers]
    depth: Param[int]
    """Passages of each run that a question's list is made of."""
    seed: Param[int]
    """Keys the order of each list's negatives."""

    @property
    def retrieved(self) -> RunStage:
        return self.runs[0]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.answers import leave_answer_sets

        figures: dict[str, Any] = {}
        for split, stages in ((MINED_SPLIT, self.runs), ("valid", self.runs[:1])):
            runs = [stage.load(split) for stage in stages]
            figures[split] = leave_answer_sets(
                self.data.source(),
                self.data.open().qrels(split),
                runs,
                self.answers.path(split),
                self.depth,
                self.seed,
                self.folder / split,
            )
        return figures

    def negative_lists(self, split: str, settings: NegativesSettings, seed: int) -> NegativeLists:
        """Return the lists of train or valid, which are made already, whatever the settings."""
        return self.lists(split)

    def lists(self, split: str) -> NegativeLists:
        """Return the lists of train or valid, their arrays memory-mapped."""
        return NegativeLists.open(self.folder / split)
