"""The claims that SimLM (Wang et al., ACL 2023) makes about order, each with a verdict.

Every row that a claim compares is made first, where it is not there yet; after the tables, all of them are. Seeds are
made one after the other, and with --publish each is published as it ends and not made again.

Examples:
  python -m repro.claims                    one run of every row at mini scale, tests over queries
  python -m repro.claims --seeds 3          some claims over three seeds: those that repro/published/claims.csv marks
  python -m repro.claims --dry-run          what would run, and for how long
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial

import numpy as np
import pandas as pd

from reports.facts import StageFacts
from reports.model import ALPHA, CONFOUNDED, PAPER_SCALE
from reports.page import Cell, Page, Section
from reports.verdicts import CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, Measured, Verdict, judge
from repro.claim_runs import ClaimOptions, asked, check_seeds, made_seed, measure_of, published_seed, seeds_of
from repro.command import main, refuse
from repro.origin import cost, origin, warnings
from repro.paper_claims import CLAIMS, REASON, Claim, RowOf
from repro.public_start import public_start
from repro.run import finish, make, told_already
from repro.run_values import measure_on
from repro.training_diagnostics import below
from simlm.evaluation.crossed import POWER, crossed
from simlm.stages.runs import RunStage
from simlm.workflow.plan import job_of

VERDICTS = (SUPPORTED, CONTRADICTED, CONFOUNDED, UNDECIDED, NOT_TESTABLE)
HEADS = (
    "claim",
    "source",
    "measure",
    "seeds",
    "supported where",
    "difference",
    "95 %",
    "smallest provable",
    "p",
    "p (Holm)",
    "verdict",
    "why not tested",
)
"""The heads of the page's table."""

BELOW_PAPER_SCALE = (
    "The paper's figures are of other collections and larger models: what is judged is whether the order shows at this "
    "scale."
)
AT_PAPER_SCALE = "Models and settings are the paper's: what is judged is whether its orders show, not its figures."
FEW = "They are small beside what so few queries can tell, so that much is undecided. "


def run(options: ClaimOptions) -> None:
    """Make the runs that are not there yet, seed by seed, judge every claim, and write the page."""
    refuse(options, "claims", "rows")
    check_seeds(options)
    if options.dry_run or options.rehearse:
        make(lambda chosen, submit: [asked(chosen, seed, submit) for seed in seeds_of(chosen)], options)
    if options.dry_run:
        return
    with told_already(options):
        _write(options)


def _write(options: ClaimOptions) -> None:
    started = time.perf_counter()
    seeds = [published_seed(options, seed) or made_seed(options, seed) for seed in seeds_of(options)]
    rows = {row: [seed.rows[row] for seed in seeds if row in seed.rows] for row in seeds[0].rows}
    values = {job_of(run): seed.left for seed in seeds for run in seed.rows.values()}
    left = [seed.left for seed in seeds]
    testable = [claim for claim in CLAIMS if rows.keys() >= set(claim.rows)]
    page = claims_page(
        options.scale,
        rows,
        {claim: why for one in reversed(left) for claim, why in one.void.items()},
        left[0].counted,
        lambda run, measure: values[job_of(run)].values_of(run, measure),
        {claim.key for claim in testable if public_start(run for row in claim.rows for run in rows[row])},
    )
    stages = (stage for runs in rows.values() for stage in below(runs[0]).values())
    page.warnings += dict.fromkeys([*warnings(options, stages), *(said for one in left for said in one.warnings)])
    facts: dict[str, StageFacts] = {}
    for one in left:
        for fact in one.stage_facts():
            facts.setdefault(fact.identifier, fact)  # what depends on no seed is in all of them
    page.stages = list(facts.values())
    page.notes.append(cost(page.stages, time.perf_counter() - started))
    names = {fact.name for fact in page.stages}
    page.provenance = origin(
        "claims",
        options,
        page.stages,
        {name: found for one in left for name, found in one.data.items()},
        {
            "runs": {name: run for one in left for name, run in one.runs.items() if name in names},
            "stages": {name: stage for one in left for name, stage in one.stages.items() if name in names},
        },
        measures=sorted({name for one in left for run in one.values.values() for name in run if name != "queries"}),
        seeds=seeds_of(options),
    )
    finish(page, "claims", options)


def claims_page(
    scale: str,
    rows: Mapping[RowOf, Sequence[RunStage]],
    void: Mapping[str, str],
    counted: Sequence[Mapping[str, Cell]],
    values: Callable[[RunStage, str], "pd.Series[float]"],
    confounded: Collection[str] = (),
) -> Page:
    """Return the page with a line for every claim, and how many claims have which verdict.

    A claim is decided over as many seeds as both of its sides have runs for.

    Args:
        scale: The name of the scale.
        rows: The runs of each row that was measured, for one or more seeds, of which the first are those of all rows.
        void: Why claims cannot be tested although their rows were measured, by their keys.
        counted: Lines of claims that need no test.
        values: Returns a measure of every query of a run, by query.
        confounded: The keys of claims of which a row stands on a public start.
    """
    values = cache(values)  # a row is on a side of many claims
    testable = [claim for claim in CLAIMS if rows.keys() >= set(claim.rows)]
    measures = {claim.key: measure_on(rows[claim.rows[0]][0], measure_of(claim)) for claim in testable}
    found = {
        claim.key: [
            _measured(rows[claim.table, higher], rows[claim.table, lower], partial(values, measure=measures[claim.key]))
            for higher, lower in claim.pairs
        ]
        for claim in CLAIMS
        if claim.key in measures and claim.key not in void
    }
    tested = {claim.key: (claim.expected, found[claim.key]) for claim in CLAIMS if claim.key in found}
    judged = judge(tested, confounded)
    lines: list[Mapping[str, Cell]] = []
    for claim in CLAIMS:
        line: dict[str, Cell] = {"claim": claim.sentence, "source": claim.source, "measure": measures.get(claim.key)}
        if claim.key in judged:
            seeds = min(len(rows[row]) for row in claim.rows)
            lines.append(line | {"seeds": seeds} | _tested(claim, found[claim.key], judged[claim.key], len(judged)))
        else:
            why = void.get(claim.key, "a row that it compares was not measured here")
            lines.append(line | {"verdict": NOT_TESTABLE, "why not tested": why})
    lines += counted
    verdicts = Counter(str(line["verdict"]) for line in lines)
    several = {int(str(line["seeds"])) for line in lines if line.get("seeds")} - {1}
    over = "the test queries of one training seed"
    if several:
        count = sum(line.get("seeds") in several for line in lines)
        over += f", {count} claims over the test queries of {max(several)} seeds, as was fixed beforehand"
    return Page(
        title="The paper's claims",
        scale=scale,
        introduction=(
            f"{len(lines)} claims about order that the paper's text or tables make. "
            + "; ".join(f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS if verdicts[verdict])
            + f". Decided over {over}. {AT_PAPER_SCALE if scale == PAPER_SCALE else BELOW_PAPER_SCALE}"
        ),
        sections=[
            Section("Verdicts", [{head: line.get(head) for head in HEADS} for line in lines]),
            Section("How it was decided", [], text=_method(len(judged), scale)),
        ],
    )


def _measured(
    higher: Sequence[RunStage], lower: Sequence[RunStage], values: Callable[[RunStage], pd.Series]
) -> Measured:
    """Return higher minus lower over the seeds that both have and queries, and the mean of the lower side.

    Args:
        higher: The runs of the one row, for one seed after the other.
        lower: Those of the other.
        values: Returns the measure of a run, by query.
    """
    seeds, queries = min(len(higher), len(lower)), values(lower[0]).index
    above, below = (np.stack([values(run).reindex(queries) for run in side[:seeds]]) for side in (higher, lower))
    return Measured(crossed(above - below), float(below.mean()))


def _tested(claim: Claim, found: Sequence[Measured], verdict: Verdict, tests: int) -> dict[str, Cell]:
    """Return what a test says of a claim, the figures of its pairs of rows in one cell."""
    provable = max(claim.expected.provable(one.difference, ALPHA / tests) for one in found)
    intervals = [one.difference.interval() for one in found]
    return {
        "supported where": _joined([claim.expected.within(one.level) for one in found]),
        "difference": _joined([f"{one.difference.mean:+.4f}" for one in found]),
        "95 %": _joined([f"[{low:+.4f}, {high:+.4f}]" for low, high in intervals]),
        "smallest provable": None if math.isnan(provable) else provable,
        "p": f"{verdict.p:.2g}",
        "p (Holm)": f"{verdict.p_holm:.2g}",
        "verdict": verdict.verdict,
    }


def _joined(cells: Sequence[str]) -> str:
    return "; ".join(cells if len(set(cells)) > 1 else cells[:1])


def _method(tests: int, scale: str) -> str:
    error = (
        "The error of a difference covers the test queries (paired t-test): another training seed is not in it. Where "
        "'seeds' is above 1 it covers training seeds and queries, both as samples of many (two-way crossed random "
        "effects, degrees of freedom by Satterthwaite)."
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
        "trained re-ranker does or teaches and the re-ranker learnt nothing. Where a row stands on a public model that "
        f"the paper did not start from, what would be supported or contradicted is '{CONFOUNDED}'."
    )


if __name__ == "__main__":
    main(run, __doc__, ClaimOptions)
