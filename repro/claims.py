"""The claims that SimLM (Wang et al., ACL 2023) makes about order, each with a verdict.

Every row that a claim compares is made first, where it is not there yet; after the tables, all of them are.

Examples:
  python -m repro.claims                    one run of every row at mini scale, tests over queries
  python -m repro.claims --seeds 3          three runs of every row, tests over seeds and queries
  python -m repro.claims --dry-run          what would run, and for how long
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pandas as pd

from reports.model import ALPHA, CONFOUNDED, PAPER_SCALE
from reports.page import Cell, Page, Section
from reports.verdicts import CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, Measured, Verdict, judge
from repro import table3
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete
from repro.paper_claims import CLAIMS, REASON, Claim, RowOf
from repro.pipeline_runs import PipelineRuns
from repro.public_start import public_start
from repro.run import finish, make
from repro.run_values import measure_on, values_of
from repro.tables import TABLES, tables_on
from repro.training_diagnostics import untrained_teacher
from simlm.commands.checks import check_seed
from simlm.commands.seeds import naming_seed
from simlm.evaluation.crossed import POWER, crossed
from simlm.stages.pipeline import Submit
from simlm.stages.runs import Retrieve, RunStage

VERDICTS = (SUPPORTED, CONTRADICTED, CONFOUNDED, UNDECIDED, NOT_TESTABLE)
HEADS = (
    "claim",
    "source",
    "measure",
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

RowRuns = dict[RowOf, list[RunStage]]
"""The runs of each row that a claim compares, one for each seed."""


@dataclass(frozen=True)
class ClaimOptions(Options):
    """How to judge claims."""

    seeds: int = 1
    """How many runs of every row: 0, 1, ... are added to every seed of the scale."""


def ask(runs: PipelineRuns) -> dict[RowOf, RunStage]:
    """Return the run of every row that is compared by a claim whose rows are all measured."""
    tables = tables_on(runs.scale.collection)
    measured = {(name, row.key): row for name, table in tables.items() for row in table().rows}
    compared = [row for claim in CLAIMS if measured.keys() >= set(claim.rows) for row in claim.rows]
    return {row: measured[row].run(runs) for row in dict.fromkeys(compared)}


def building(options: ClaimOptions) -> Callable[[Submit], tuple[RowRuns, Retrieve]]:
    """Return what builds the runs that the claims compare, for every seed, and the index that Table 3 weighs."""

    def build(submit: Submit) -> tuple[RowRuns, Retrieve]:
        rows: RowRuns = {}
        indexes = []
        for seed in range(options.seed, options.seed + options.seeds):
            runs = replace(options, seed=seed).pipeline_runs(naming_seed(submit, seed))
            for row, run in ask(runs).items():
                rows.setdefault(row, []).append(run)
            indexes.append(table3.ask(runs))
        return rows, indexes[0]

    return build


def run(options: ClaimOptions) -> None:
    """Make the runs that are not there yet, judge every claim, and write the page."""
    refuse(options, "claims", "rows")
    check_seeds(options)
    started = time.perf_counter()
    made = make(building(options), options)
    if made is None:
        return
    stages, (rows, index) = made
    results = StageResults.of(stages)
    testable = [claim for claim in CLAIMS if rows.keys() >= set(claim.rows)]
    reasons = {
        claim.key: untrained_teacher([run for row in claim.rows for run in rows[row]], results.names())
        for claim in testable
        if claim.with_teacher
    }
    void = {key: reason for key, reason in reasons.items() if reason is not None}
    confounded = {claim.key for claim in testable if public_start(run for row in claim.rows for run in rows[row])}
    page = claims_page(options.scale, rows, options.seeds, void, [_smaller_index(index)], confounded)
    tested = {run.data.collection: run.data for runs in rows.values() for run in runs}
    complete(
        page,
        "claims",
        options,
        results,
        time.perf_counter() - started,
        tested=list(tested.values()),
        measures=sorted({measure_on(rows[claim.rows[0]][0], measure_of(claim)) for claim in testable}),
        seeds=range(options.seed, options.seed + options.seeds),
        rows={" ".join(row): runs for row, runs in rows.items()},
    )
    finish(page, "claims", options)


def check_seeds(options: ClaimOptions) -> None:
    """Raise UserError if there is no seed, or one that is too large."""
    check_seed("--seeds", options.seeds, 1)
    check_seed("--seed and --seeds together", options.seed + options.seeds, 1)


def measure_of(claim: Claim) -> str:
    """Return the measure that a claim is judged by."""
    return claim.measure or TABLES[claim.table]().measure_of(claim.pairs[0][0])


def claims_page(
    scale: str,
    rows: Mapping[RowOf, Sequence[RunStage]],
    seeds: int,
    void: Mapping[str, str] | None = None,
    counted: Sequence[Mapping[str, Cell]] = (),
    confounded: Collection[str] = (),
) -> Page:
    """Return the page with a line for every claim, and how many claims have which verdict.

    Args:
        scale: The name of the scale.
        rows: The runs of each row that was measured, one for each seed.
        seeds: The number of seeds.
        void: Why claims cannot be tested although their rows were measured, by their keys.
        counted: Lines of claims that need no test.
        confounded: The keys of claims of which a row stands on a public start.
    """
    void = void or {}

    @cache
    def values(run: RunStage, measure: str) -> pd.Series:  # a row is on a side of many claims
        return values_of(run, [measure])[measure]

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
            lines.append(line | _tested(claim, found[claim.key], judged[claim.key], len(judged)))
        else:
            why = void.get(claim.key, "a row that it compares was not measured here")
            lines.append(line | {"verdict": NOT_TESTABLE, "why not tested": why})
    lines += counted
    verdicts = Counter(str(line["verdict"]) for line in lines)
    over = f"{seeds} training seeds and the test queries" if seeds > 1 else "the test queries of one training seed"
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
            Section("How it was decided", [], text=_method(seeds, len(judged), scale)),
        ],
    )


def _measured(
    higher: Sequence[RunStage], lower: Sequence[RunStage], values: Callable[[RunStage], pd.Series]
) -> Measured:
    """Return higher minus lower over seeds and queries, and the mean of the lower side.

    Args:
        higher: The runs of the one row, one for each seed.
        lower: Those of the other.
        values: Returns the measure of a run, by query.
    """
    queries = values(lower[0]).index
    above, below = (np.stack([values(run).reindex(queries) for run in side]) for side in (higher, lower))
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


def _smaller_index(index: Retrieve) -> dict[str, Cell]:
    """Return the line of Table 3's claim, from a finished index: its sizes are counted, not tested."""
    ours, many = table3.sizes(index)
    return {
        "claim": "An index of one vector a passage is smaller than one of a vector a token.",
        "source": "Table 3",
        "measure": "bytes",
        "supported where": "above 0",
        "difference": f"{many - ours:+,}",
        "verdict": SUPPORTED if many > ours else CONTRADICTED,
        "why not tested": "counted: there is nothing to test",
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
        "trained re-ranker does or teaches and the re-ranker learnt nothing. Where a row stands on a public model that "
        f"the paper did not start from, what would be supported or contradicted is '{CONFOUNDED}'."
    )


if __name__ == "__main__":
    main(run, __doc__, ClaimOptions)
