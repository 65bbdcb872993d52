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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from reports.model import ALPHA, PAPER_SCALE
from reports.page import Cell, Page, Section
from reports.verdicts import CONTRADICTED, NOT_TESTABLE, SUPPORTED, UNDECIDED, Measured, Verdict, judge
from repro import table3
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete
from repro.paper_claims import CLAIMS, REASON, Claim
from repro.pipeline_runs import PipelineRuns
from repro.query_examples import values_of
from repro.run import finish, make
from repro.tables import TABLES, tables_on
from repro.training_diagnostics import untrained_teacher
from simlm.commands.checks import check_seed
from simlm.commands.seeds import naming_seed
from simlm.evaluation.crossed import POWER, crossed
from simlm.stages.pipeline import Submit
from simlm.stages.runs import Retrieve, RunStage

VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTABLE)
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

Sides = list[tuple[RunStage, RunStage]]
"""The runs (higher, lower) of a pair of rows, one for each seed."""


@dataclass(frozen=True)
class ClaimOptions(Options):
    """How to judge claims."""

    seeds: int = 1
    """How many runs of every row: 0, 1, ... are added to every seed of the scale."""


@dataclass
class Compared:
    """The runs that the claims compare: those of each pair of rows, by the claim's key, and Table 3's index."""

    sides: dict[str, list[Sides]]
    index: Retrieve

    def rows(self) -> dict[str, list[RunStage]]:
        """Return every seed's run of each row that is compared, by the row's table and key."""
        found: dict[str, list[RunStage]] = {}
        for claim in (one for one in CLAIMS if one.key in self.sides):
            for keys, pair in zip(claim.pairs, self.sides[claim.key], strict=True):
                for key, runs in zip(keys, zip(*pair, strict=True), strict=True):
                    found[f"{claim.table} {key}"] = list(runs)
        return found

    def runs(self) -> dict[str, list[RunStage]]:
        """Return all runs of each claim, by its key."""
        return {key: [run for pair in pairs for both in pair for run in both] for key, pairs in self.sides.items()}


def ask(runs: PipelineRuns) -> dict[str, list[tuple[RunStage, RunStage]]]:
    """Return the runs of every pair (higher, lower) of each claim whose rows are all measured, by the claim's key."""
    tables = tables_on(runs.scale.collection)
    rows = {name: {row.key: row for row in table().rows} for name, table in tables.items()}
    return {
        claim.key: [
            (rows[claim.table][higher].run(runs), rows[claim.table][lower].run(runs)) for higher, lower in claim.pairs
        ]
        for claim in CLAIMS
        if {key for pair in claim.pairs for key in pair} <= set(rows.get(claim.table, {}))
    }


def building(options: ClaimOptions) -> Callable[[Submit], Compared]:
    """Return what builds the runs that the claims compare, for every seed."""

    def build(submit: Submit) -> Compared:
        sides: dict[str, list[Sides]] = {}
        index: Retrieve | None = None
        for seed in range(options.seed, options.seed + options.seeds):
            runs = replace(options, seed=seed).pipeline_runs(naming_seed(submit, seed))
            for key, pairs in ask(runs).items():
                for pair, found in zip(pairs, sides.setdefault(key, [[] for _ in pairs]), strict=True):
                    found.append(pair)
            index = index or table3.ask(runs)
        assert index is not None, "check_seeds refuses to run without a seed"
        return Compared(sides, index)

    return build


def run(options: ClaimOptions) -> None:
    """Make the runs that are not there yet, judge every claim, and write the page."""
    refuse(options, "claims", "rows")
    check_seeds(options)
    started = time.perf_counter()
    made = make(building(options), options)
    if made is None:
        return
    stages, compared = made
    results = StageResults.of(stages)
    runs = compared.runs()
    measures = {claim.key: measure_of(claim) for claim in CLAIMS if claim.key in runs}
    reasons = {
        claim.key: untrained_teacher(runs[claim.key], results.names())
        for claim in CLAIMS
        if claim.with_teacher and claim.key in runs
    }
    void = {key: reason for key, reason in reasons.items() if reason is not None}
    page = claims_page(options.scale, compared.sides, measures, options.seeds, void, [_smaller_index(compared.index)])
    tested = {run.data.collection: run.data for of_claim in runs.values() for run in of_claim}
    complete(
        page,
        "claims",
        options,
        results,
        time.perf_counter() - started,
        tested=[data.source() for data in tested.values()],
        measures=sorted(set(measures.values())),
        seeds=range(options.seed, options.seed + options.seeds),
        rows=compared.rows(),
    )
    finish(page, "claims", options)


def check_seeds(options: ClaimOptions) -> None:
    """Raise UserError if there is no seed, or one that is too large."""
    check_seed("--seeds", options.seeds, 1)
    check_seed("--seed and --seeds together", options.seed + options.seeds, 1)


def measure_of(claim: Claim) -> str:
    """Return the measure that a claim is judged by."""
    return claim.measure or TABLES[claim.table]().measure_of(claim.higher)


def claims_page(
    scale: str,
    sides: Mapping[str, Sequence[Sides]],
    measures: Mapping[str, str],
    seeds: int,
    void: Mapping[str, str] | None = None,
    counted: Sequence[Mapping[str, Cell]] = (),
) -> Page:
    """Return the page with a line for every claim, and how many claims have which verdict.

    Args:
        scale: The name of the scale.
        sides: The runs of the pairs that each claim compares, by its key; only claims whose rows are all measured.
        measures: The measure of each of these claims.
        seeds: The number of seeds.
        void: Why some of these claims cannot be tested all the same.
        counted: Lines of claims that need no test.
    """
    void = void or {}

    @cache
    def values(run: RunStage, measure: str) -> pd.Series:  # a run is on a side of many claims
        return values_of(run, [measure])[measure]

    found = {
        claim.key: [_measured(pair, measures[claim.key], values) for pair in sides[claim.key]]
        for claim in CLAIMS
        if claim.key in sides and claim.key not in void
    }
    judged = judge({claim.key: (claim.expected, found[claim.key]) for claim in CLAIMS if claim.key in found})
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


def _measured(sides: Sides, measure: str, values: Callable[[RunStage, str], pd.Series]) -> Measured:
    """Return higher minus lower over seeds and queries, and the mean of the lower side."""
    queries = values(sides[0][1], measure).index
    higher, lower = (
        np.stack([values(run, measure).reindex(queries) for run in side]) for side in zip(*sides, strict=True)
    )
    return Measured(crossed(higher - lower), float(lower.mean()))


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
        "trained re-ranker does or teaches and the re-ranker learnt nothing."
    )


if __name__ == "__main__":
    main(run, __doc__, ClaimOptions)
