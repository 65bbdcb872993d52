"""Find the stages that learnt nothing, and say what that means for the rows that depend on them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reports.assess import Order
from reports.model import CheckedOrder, Report
from simlm.stages.learning import Ranking, ranking, words
from simlm.stages.models import Pretrained
from simlm.stages.reranker import TrainReranker
from simlm.workflow.plan import job_of
from simlm.workflow.stage import Stage, inputs_of

BASE, RANDOM = "base", "random"
"""The rows whose order shows whether the base model, which all others start from, learnt anything."""


def below(stage: Stage, last: type[Stage] | tuple[()] = ()) -> dict[Path, Stage]:
    """Return a planned stage and all that it depends on, by their folders; nothing that only a ``last`` depends on."""
    found: dict[Path, Stage] = {}
    waiting = [stage]
    while waiting:
        one = waiting.pop()
        if job_of(one) not in found:
            found[job_of(one)] = one
            waiting += [] if isinstance(one, last) else inputs_of(one).values()
    return found


def warnings(rows: Mapping[str, Stage | Iterable[Stage]], names: Mapping[Path, str]) -> list[str]:
    """Return sentences on each stage that learnt nothing, and on each re-ranker that does not teach, with their rows.

    Args:
        rows: The finished runs of each row, by the row's label.
        names: The names of all stages, by their folders.
    """
    dependants: dict[Path, dict[str, None]] = {}
    stages: dict[Path, Stage] = {}
    for row, runs in rows.items():
        for run in [runs] if isinstance(runs, Stage) else runs:
            for job, stage in below(run).items():
                stages[job] = stage
                dependants.setdefault(job, {})[row] = None
    return [one for job, stage in stages.items() for one in _sentences(stage, names[job], "; ".join(dependants[job]))]


def untrained_teacher(runs: Iterable[Stage], names: Mapping[Path, str]) -> str | None:
    """Say why these runs show nothing about re-ranking or teaching; None if every re-ranker that they use learnt."""
    for run in runs:
        for job, stage in below(run).items():
            if isinstance(stage, TrainReranker):
                outcome = ranking(stage)
                if outcome is not None and outcome.learnt_nothing:
                    return f"{names[job]}: {_ended(outcome)}"
    return None


def voided(
    claims: Iterable[CheckedOrder], orders: Iterable[Order], runs: Mapping[str, Stage], names: Mapping[Path, str]
) -> list[CheckedOrder]:
    """Return a report's checked orders; one about a trained re-ranker is void if the re-ranker learnt nothing."""
    taught = {(order.lower, order.higher) for order in orders if order.with_teacher}
    return [
        replace(claim, void=untrained_teacher([runs[claim.lower], runs[claim.higher]], names) or "")
        if (claim.lower, claim.higher) in taught
        else claim
        for claim in claims
    ]


def below_random(report: Report) -> list[str]:
    """Return a warning if ``BASE`` is not significantly above ``RANDOM`` in a report."""
    measure = report.measures[0]
    found = report.comparison(RANDOM, BASE, measure)
    if found is None or (found.difference < 0 and found.significant):
        return []
    one, other = (row.measured[measure].mean for row in map(report.row, (BASE, RANDOM)) if row.measured)
    return [
        f"{report.row(BASE).label} ({one:.4f} {measure}) is not above {report.row(RANDOM).label} ({other:.4f}): their "
        f"difference is {-found.difference:+.4f} [{-found.high:+.4f}, {-found.low:+.4f}], Holm-corrected p "
        f"{found.p_holm:.2g}. Nothing shows that what all rows start from learnt anything for retrieval."
    ]


def _sentences(stage: Stage, name: str, rows: str) -> Iterator[str]:
    """Yield the sentences on a stage that learnt nothing or does not teach; none for all others.

    Args:
        stage: The finished stage.
        name: Its name.
        rows: The labels of the rows that depend on it.
    """
    if isinstance(stage, TrainReranker):
        outcome = ranking(stage)
        if outcome is not None and outcome.at_chance:
            learnt, says = "little: its loss cannot be told from chance", "little"
            if outcome.learnt_nothing:
                learnt, says = "nothing that can be told from chance", "nothing"
            yield (
                f"{name}: {_ended(outcome)}. It learnt {learnt}. What stands on it ({rows}) says {says} about "
                "re-ranking or about distillation by a trained teacher."
            )
        if outcome is not None and not outcome.teaches:
            yield (
                f"{name}: it does not teach. Over {outcome.queries} questions of valid with {outcome.passages} "
                f"candidates each, the mean reciprocal rank of the relevant one is {outcome.mrr:.3f} by its scores and "
                f"{outcome.retriever_mrr:.3f} by those of the retriever whose candidates they are. On it stand: {rows}."
            )
    if isinstance(stage, Pretrained):
        predicted = words(stage)
        if predicted is not None and predicted.learnt_nothing:
            side = f", the mean of its {predicted.sides} sides" if predicted.sides > 1 else ""
            yield (
                f"{name}: the loss on hidden words ended at {predicted.loss:.3f} nats{side}; knowing nothing but how "
                f"frequent each word is gives {predicted.entropy:.3f} (unigram entropy of the collection's pieces). "
                f"This pre-training did not learn beyond word frequencies. On it stand: {rows}."
            )


def _ended(outcome: Ranking) -> str:
    return (
        f"the training loss ended at {outcome.loss:.4f}, chance is ln({outcome.kept}) = {outcome.chance:.4f}; the best "
        f"top-1 accuracy on valid is {outcome.accuracy:.3f} over {outcome.queries} questions, chance is "
        f"1/{outcome.passages} = {outcome.accuracy_by_chance:.3f}"
    )
