"""Which of the stages below a report's rows learnt nothing, and what that means for the rows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from reports.assess import Order
from reports.model import CheckedOrder, Report
from simlm.stages.learning import Ranking, ranking, words
from simlm.stages.models import Generator, Pretrained
from simlm.stages.reranker import TrainReranker
from simlm.workflow.plan import job_of
from simlm.workflow.stage import Stage, inputs_of

BASE, RANDOM = "base", "random"
"""The rows whose order tells whether the model that all others start from learnt anything."""


def below(stage: Stage) -> dict[Path, Stage]:
    """A planned stage and all that it stands on, by their folders."""
    found: dict[Path, Stage] = {}
    waiting = [stage]
    while waiting:
        one = waiting.pop()
        if job_of(one) not in found:
            found[job_of(one)] = one
            waiting += inputs_of(one).values()
    return found


def warnings(rows: Mapping[str, Stage | Iterable[Stage]], names: Mapping[Path, str]) -> list[str]:
    """A sentence for each stage that learnt nothing, with the rows that stand on it.

    ``rows`` are finished stages by what a reader calls them, several where a row has several; ``names`` those of all
    stages by folder.
    """
    stands: dict[Path, dict[str, None]] = {}
    stages: dict[Path, Stage] = {}
    for row, runs in rows.items():
        for run in [runs] if isinstance(runs, Stage) else runs:
            for job, stage in below(run).items():
                stages[job] = stage
                stands.setdefault(job, {})[row] = None
    found = ((job, _sentence(stage)) for job, stage in stages.items())
    return [made(names[job], "; ".join(stands[job])) for job, made in found if made is not None]


def untrained_teacher(runs: Iterable[Stage], names: Mapping[Path, str]) -> str | None:
    """Why nothing can be said of re-ranking or teaching by these runs; None where every re-ranker below learnt."""
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
    """A report's checked orders, those void that are about a trained re-ranker where it learnt nothing."""
    taught = {(order.lower, order.higher) for order in orders if order.with_teacher}
    return [
        replace(claim, void=untrained_teacher([runs[claim.lower], runs[claim.higher]], names) or "")
        if (claim.lower, claim.higher) in taught
        else claim
        for claim in claims
    ]


def below_random(report: Report) -> list[str]:
    """Says so where the rows of a report have ``BASE`` not above ``RANDOM``: not significantly, or not at all."""
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


def _sentence(stage: Stage) -> Callable[[str, str], str] | None:
    """What to say of a stage that learnt nothing, given its name and its rows'; None of all others."""
    if isinstance(stage, TrainReranker):
        outcome = ranking(stage)
        if outcome is not None and outcome.at_chance:
            little = "It learnt little: its loss cannot be told from chance. What stands on it ({}) says little about"
            nothing = "It learnt nothing that can be told from chance. What stands on it ({}) says nothing about"
            said = nothing if outcome.learnt_nothing else little
            return lambda name, rows: (
                f"{name}: {_ended(outcome)}. {said.format(rows)} re-ranking or about distillation by a trained teacher."
            )
    if isinstance(stage, Pretrained | Generator):
        predicted = words(stage)
        if predicted is not None and predicted.learnt_nothing:
            side = f", the mean of its {predicted.sides} sides" if predicted.sides > 1 else ""
            return lambda name, rows: (
                f"{name}: the loss on hidden words ended at {predicted.loss:.3f} nats{side}; knowing nothing but how "
                f"frequent each word is gives {predicted.entropy:.3f} (unigram entropy of the collection's pieces). "
                f"This pre-training did not learn beyond word frequencies. On it stand: {rows}."
            )
    return None


def _ended(outcome: Ranking) -> str:
    return (
        f"the training loss ended at {outcome.loss:.4f}, chance is ln({outcome.kept}) = {outcome.chance:.4f}; the best "
        f"top-1 accuracy on valid is {outcome.accuracy:.3f} over {outcome.queries} questions, chance is "
        f"1/{outcome.passages} = {outcome.accuracy_by_chance:.3f}"
    )
