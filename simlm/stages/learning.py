"""Whether a training learnt anything: where its loss ended, beside the loss of a model that knows nothing.

All of it comes from the logs that finished trainings left, and from the tokenised collection.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from simlm.data.frequencies import unigram_entropy
from simlm.stages.models import Pretrained
from simlm.stages.reranker import TrainReranker
from simlm.stages.runs import read_log
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of

RANKING_SLACK = 0.02
"""How far below chance, as a share of it, a listwise loss may end and still count as chance."""
WORDS_SLACK = 0.03
"""The same of a loss on words and their entropy: whoever makes use of a single neighbouring word is far below it.

More than for the re-ranker, as the words that masks hide are not drawn exactly as often as they occur.
"""
LEVEL = 0.95
ENTRIES = 5


@dataclass(frozen=True)
class Ranking:
    """A re-ranker's training: its last loss over ``kept`` passages, and its best top-1 accuracy on valid.

    The accuracy is over ``queries`` questions with ``passages`` each, the highest of ``evaluations``. ``mrr`` is that
    of the kept checkpoint over these, ``retriever_mrr`` that of the retriever whose candidates it orders; None where
    an older version did not measure them.
    """

    loss: float
    kept: int
    accuracy: float
    passages: int
    queries: int
    evaluations: int
    mrr: float | None = None
    retriever_mrr: float | None = None

    @property
    def teaches(self) -> bool:
        """Whether nothing says that the retriever orders its candidates at least as well itself."""
        return self.mrr is None or self.retriever_mrr is None or self.mrr > self.retriever_mrr

    @property
    def chance(self) -> float:
        """The loss of scores that tell nothing."""
        return math.log(self.kept)

    @property
    def accuracy_by_chance(self) -> float:
        return 1 / self.passages

    @property
    def at_chance(self) -> bool:
        """Whether the loss ended where it is by chance, or above."""
        return self.loss > (1 - RANKING_SLACK) * self.chance

    @property
    def learnt_nothing(self) -> bool:
        """Whether the loss ended at chance and the accuracy is within sampling error of it, or below."""
        share = self.accuracy_by_chance
        # The best of several is the more often above by chance: Bonferroni over them, one-sided.
        quantile = NormalDist().inv_cdf(1 - (1 - LEVEL) / self.evaluations)
        highest = share + quantile * math.sqrt(share * (1 - share) / self.queries)
        return self.at_chance and self.accuracy <= highest


@dataclass(frozen=True)
class Words:
    """A pre-training on hidden words: its last loss, the mean of its ``sides``, and the entropy of the words."""

    loss: float
    entropy: float
    sides: int

    @property
    def learnt_nothing(self) -> bool:
        """Whether it did not learn beyond word frequencies."""
        return self.loss > (1 - WORDS_SLACK) * self.entropy


def last(log: list[dict[str, float]], name: str) -> float | None:
    """Return a logged value at the end of a training: the mean of the last tenth of its entries; None if there is none.

    Of few entries, each of a few batches, it is the mean of the last ``ENTRIES``.
    """
    values = [entry[name] for entry in log if name in entry]
    end = values[-max(ENTRIES, len(values) // 10) :]
    return sum(end) / len(end) if end else None


def ranking(stage: TrainReranker) -> Ranking | None:
    """Return how a finished re-ranker's training ended; None where its log does not say."""
    log = read_log(job_of(stage) / "output")
    loss = last(log, "loss")
    accuracies = [entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry]
    if loss is None or not accuracies:
        return None
    settings = stage.settings
    counts = (read_manifest(job_of(stage.candidates.data)) or {}).get("numbers", {}).get("splits", {}).get("valid", {})
    queries = min(settings.evaluation_queries, counts.get("queries", settings.evaluation_queries))
    kept = min(settings.kept_passages, settings.passages_per_query)
    numbers = (read_manifest(job_of(stage)) or {}).get("numbers", {})
    mrr, retriever_mrr = (numbers.get(name) for name in ("mrr", "retriever_mrr"))
    passages, evaluations = settings.passages_on_valid, len(accuracies)
    return Ranking(loss, kept, max(accuracies), passages, queries, evaluations, mrr, retriever_mrr)


def words(stage: Pretrained) -> Words | None:
    """Return how a finished pre-training on hidden words ended; None for another objective, or without a log."""
    job = job_of(stage)
    sides = (read_manifest(job) or {}).get("numbers", {}).get("word_losses")
    if sides is None:  # made before that was recorded
        from simlm.pretraining.objective import find_objective  # torch, which a report does without otherwise

        sides = find_objective(stage.objective).word_losses
    log = read_log(job / "output")
    losses = [loss for name in sides if (loss := last(log, name)) is not None]
    if not losses:
        return None
    entropy = unigram_entropy(job_of(stage.data) / "output" / "store", stage.settings.max_length)
    return Words(sum(losses) / len(losses), entropy, len(losses))
