"""The page of claims: from what rows measured on each question to a verdict on every claim."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

from reports.model import ALPHA, PAPER_SCALE
from reports.page import Cell, Page, Section
from reports.verdicts import CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, Measured, Verdict, judge
from repro.claimed import CLAIMS, Claim
from repro.margins import REASON
from repro.query_examples import values_of
from simlm.evaluation.crossed import POWER, crossed
from simlm.stages.runs import RunStage

VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTABLE)

BELOW_PAPER_SCALE = (
    "The paper's figures are of other collections and larger models: what is judged is whether the order shows at this "
    "scale."
)
AT_PAPER_SCALE = "Models and settings are the paper's: what is judged is whether its orders show, not its figures."
FEW = "They are small beside what so few queries can tell, so that much is undecided. "

Sides = list[tuple[RunStage, RunStage]]
"""What a pair of rows compares, (higher, lower) for each seed."""


@dataclass(frozen=True)
class Counted:
    """A claim that needs no test: both figures are counts, the same for every seed."""

    sentence: str
    source: str
    measure: str
    higher: int
    lower: int


def claims_page(
    scale: str,
    sides: Mapping[str, Sequence[Sides]],
    measures: Mapping[str, str],
    seeds: int,
    void: Mapping[str, str] | None = None,
    counted: Sequence[Counted] = (),
) -> Page:
    """A line for every claim, and how many have which verdict.

    ``sides`` are the pairs that each claim compares whose rows were all measured, and ``measures`` by what, by the
    claim's key; ``void`` why some of these claims cannot be tested all the same.
    """
    void = void or {}

    @cache
    def values(run: RunStage, measure: str) -> pd.Series:  # a run is on a side of many claims
        return values_of(run, [measure])[measure]

    found = {
        claim.key: [_measured(pair, partial(values, measure=measures[claim.key])) for pair in sides[claim.key]]
        for claim in CLAIMS
        if claim.key in sides and claim.key not in void
    }
    judged = judge({claim.key: (claim.expected, found[claim.key]) for claim in CLAIMS if claim.key in found})
    lines = [
        _line(claim, measures[claim.key], found[claim.key], judged[claim.key], len(judged))
        if claim.key in judged
        else _untested(claim, measures.get(claim.key), void.get(claim.key))
        for claim in CLAIMS
    ] + [_counted(one) for one in counted]
    counts = Counter(str(line["verdict"]) for line in lines)
    over = f"{seeds} training seeds and the test queries" if seeds > 1 else "the test queries of one training seed"
    return Page(
        title="The paper's claims",
        scale=scale,
        introduction=(
            f"{len(lines)} claims about order that the paper's text or tables make. "
            + "; ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
            + f". Decided over {over}. {AT_PAPER_SCALE if scale == PAPER_SCALE else BELOW_PAPER_SCALE}"
        ),
        sections=[
            Section("Verdicts", lines),
            Section("How it was decided", [], text=_method(seeds, len(judged), scale)),
        ],
    )


def _measured(sides: Sides, values: Callable[[RunStage], pd.Series]) -> Measured:
    """Higher minus lower over seeds and queries, and the mean of the lower side; ``values`` has each query's."""
    queries = values(sides[0][1]).index
    higher, lower = (np.stack([values(run).reindex(queries) for run in side]) for side in zip(*sides, strict=True))
    return Measured(crossed(higher - lower), float(lower.mean()))


def _line(claim: Claim, measure: str, found: Sequence[Measured], verdict: Verdict, tests: int) -> dict[str, Cell]:
    provable = max(claim.expected.provable(one.difference, ALPHA / tests) for one in found)
    intervals = [one.difference.interval() for one in found]
    return _cells(
        claim.sentence,
        claim.source,
        measure=measure,
        supported=_joined([claim.expected.within(one.level) for one in found]),
        difference=_joined([f"{one.difference.mean:+.4f}" for one in found]),
        interval=_joined([f"[{low:+.4f}, {high:+.4f}]" for low, high in intervals]),
        smallest=None if math.isnan(provable) else provable,
        p=f"{verdict.p:.2g}",
        p_holm=f"{verdict.p_holm:.2g}",
        verdict=verdict.verdict,
    )


def _joined(cells: Sequence[str]) -> str:
    """One cell of several pairs of rows; what all have in common once."""
    return "; ".join(cells if len(set(cells)) > 1 else cells[:1])


def _untested(claim: Claim, measure: str | None, reason: str | None) -> dict[str, Cell]:
    why = reason or "a row that it compares was not measured here"
    return _cells(claim.sentence, claim.source, measure=measure, verdict=NOT_TESTABLE, why=why)


def _counted(one: Counted) -> dict[str, Cell]:
    return _cells(
        one.sentence,
        one.source,
        measure=one.measure,
        supported="above 0",
        difference=f"{one.higher - one.lower:+,}",
        verdict=SUPPORTED if one.higher > one.lower else CONTRADICTED,
        why="counted: there is nothing to test",
    )


def _cells(
    sentence: str,
    source: str,
    *,
    verdict: str,
    measure: str | None = None,
    supported: str | None = None,
    difference: str | None = None,
    interval: str | None = None,
    smallest: float | None = None,
    p: str | None = None,
    p_holm: str | None = None,
    why: str | None = None,
) -> dict[str, Cell]:
    """A line of the page, with the same heads for every claim."""
    return {
        "claim": sentence,
        "source": source,
        "measure": measure,
        "supported where": supported,
        "difference": difference,
        "95 %": interval,
        "smallest provable": smallest,
        "p": p,
        "p (Holm)": p_holm,
        "verdict": verdict,
        "why not tested": why,
    }


def _method(seeds: int, tests: int, scale: str) -> str:
    error = (
        "The error of a difference covers training seeds and queries, both as samples of many (two-way crossed random "
        "effects, degrees of freedom by Satterthwaite)."
        if seeds > 1
        else "The error of a difference covers queries only (paired t-test): another training seed is not in it."
    )
    return (
        f"{error} A claim is supported where the difference is significantly inside the range that 'supported where' "
        "gives in units of the measure, contradicted where it is significantly outside, undecided otherwise. An order "
        "is a range above 0; no difference is tested by two one-sided tests, 'not below' by one against the margin, "
        "several orders in one claim by the largest of their p (intersection-union). The margins are the paper's own: "
        f"{REASON} {'' if scale == PAPER_SCALE else FEW}p is two-sided; "
        f"Holm's correction goes over all {tests} claims that could be tested; significant is below {ALPHA:g}. "
        f"'Smallest provable' is what this run had a {POWER:.0%} chance to show at the first step of that correction "
        f"(t-tests at {ALPHA:g} / {tests}): for an order the smallest true difference; for no difference and 'not "
        "below' the smallest margin, if the rows are truly equal; for 'slightly above' the smallest upper bound, if "
        "the true difference is half of it. A range that is narrower could hardly have been supported by this run. A "
        "claim is not testable at this scale where a side of it was not measured here, or where it is about what a "
        "trained re-ranker does or teaches and the re-ranker learnt nothing."
    )
