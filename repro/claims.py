"""Which of the paper's claims about order hold here: `python -m repro.claims --help` lists the options."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from reports.model import ALPHA
from reports.page import Cell, Page, Section
from reports.verdicts import CONTRADICTED, MARGIN, NOT_TESTABLE, SUPPORTED, UNDECIDED, Verdict, judge
from repro.cases import values_of
from repro.cells import Cells
from repro.claimed import CLAIMS, Claim
from repro.command import Options, main, refuse
from repro.origin import Made, complete
from repro.run import finish, make
from repro.tables import TABLES, tables_on
from simlm.commands.seeds import naming_seed
from simlm.errors import UserError
from simlm.evaluation.crossed import POWER, Difference, crossed
from simlm.scales import open_scale
from simlm.stages.runs import RunStage

DESCRIPTION = """The claims that SimLM (Wang et al., ACL 2023) makes about order, each with a verdict.

Every row that a claim compares is made first, where it is not there yet; after the tables, all of them are.

Examples:
  python -m repro.claims                    one run of every row at mini scale, tests over queries
  python -m repro.claims --seeds 3          three runs of every row, tests over seeds and queries
  python -m repro.claims --dry-run          what would run, and for how long
"""

Sides = list[tuple[RunStage, RunStage]]
"""What a claim compares, (higher, lower) for each seed."""


@dataclass(frozen=True)
class ClaimOptions(Options):
    """How to judge claims."""

    seeds: int = 1
    """How many runs of every row: 0, 1, ... are added to every seed of the scale."""


def ask(cells: Cells, collection: str = "") -> dict[str, tuple[RunStage, RunStage]]:
    """The runs of both sides of every claim that can be tested, by the claim's key.

    ``collection`` is the reader's own, as in the options, "" for the scale's.
    """
    rows = {name: {row.key: row for row in table().rows} for name, table in tables_on(collection).items()}
    return {
        claim.key: (rows[claim.table][claim.higher].run(cells), rows[claim.table][claim.lower].run(cells))
        for claim in CLAIMS
        if {claim.higher, claim.lower} <= set(rows.get(claim.table, {}))
    }


def run(options: ClaimOptions) -> None:
    """Make what is lacking, judge every claim, and write the page."""
    refuse(options, "claims", "rows")
    check_seeds(options)

    seeds = range(options.seed, options.seed + options.seeds)

    def build(submit: Any) -> dict[str, Sides]:
        found: dict[str, Sides] = {}
        for seed in seeds:
            scale = open_scale(options.scale, options.collection)
            cells = Cells(scale, seed, naming_seed(submit, seed), options.negatives)
            for key, sides in ask(cells, options.collection).items():
                found.setdefault(key, []).append(sides)
        return found

    started = time.perf_counter()
    made = make(build, options)
    if made is None:
        return
    stages, sides = made
    measures = {claim.key: TABLES[claim.table]().measure_of(claim.lower) for claim in CLAIMS if claim.key in sides}
    page = claims_page(options.scale, sides, measures, options.seeds)
    tested = {run.data.collection: run.data for pairs in sides.values() for pair in pairs for run in pair}
    complete(
        page,
        "claims",
        options,
        Made.of(stages),
        time.perf_counter() - started,
        tested=[data.source() for data in tested.values()],
        measures=sorted(set(measures.values())),
        seeds=seeds,
    )
    finish(page, "claims", options)


def check_seeds(options: ClaimOptions) -> None:
    """UserError for no seed at all."""
    if options.seeds < 1:
        raise UserError(f"--seeds {options.seeds}: choose 1 or more")


def claims_page(scale: str, sides: Mapping[str, Sides], measures: Mapping[str, str], seeds: int) -> Page:
    """A line for every claim, and how many have which verdict.

    ``sides`` and ``measures`` are what the claims that can be tested compare, and by which measure.
    """

    @cache
    def values(run: RunStage, measure: str) -> pd.Series:  # a run is on a side of many claims
        return values_of(run, [measure])[measure]

    found = {key: _difference(sides[key], partial(values, measure=measure)) for key, measure in measures.items()}
    judged = judge({claim.key: (claim.expected, *found[claim.key]) for claim in CLAIMS if claim.key in found})
    lines = [_line(claim, measures.get(claim.key), found.get(claim.key), judged.get(claim.key)) for claim in CLAIMS]
    counts = Counter(str(line["verdict"]) for line in lines)
    over = f"{seeds} training seeds and the test queries" if seeds > 1 else "the test queries of one training seed"
    return Page(
        title="The paper's claims",
        scale=scale,
        introduction=(
            f"{len(lines)} claims about order that the paper's text or tables make. "
            + "; ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
            + f". Decided over {over}. The paper's figures are of other collections and larger models: what is judged "
            "is whether the order shows at this scale."
        ),
        sections=[Section("Verdicts", lines), Section("How it was decided", [], text=_method(seeds))],
    )


VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTABLE)


def _difference(sides: Sides, values: Callable[[RunStage], pd.Series]) -> tuple[Difference, float]:
    """Higher minus lower over seeds and queries, and the mean of the lower side; ``values`` has each query's."""
    queries = values(sides[0][1]).index
    higher, lower = (np.stack([values(run).reindex(queries) for run in side]) for side in zip(*sides, strict=True))
    return crossed(higher - lower), float(lower.mean())


def _line(
    claim: Claim, measure: str | None, found: tuple[Difference, float] | None, verdict: Verdict | None
) -> dict[str, Cell]:
    heads: dict[str, Cell] = {"claim": claim.sentence, "source": claim.source}
    if measure is None or found is None or verdict is None:
        blank: dict[str, Cell] = dict.fromkeys(("measure", "difference", "95 %", "smallest found", "p", "p (Holm)"))
        return heads | blank | {"verdict": NOT_TESTABLE}
    difference, _ = found
    low, high = difference.interval()
    return heads | {
        "measure": measure,
        "difference": f"{difference.mean:+.4f}",
        "95 %": f"[{low:+.4f}, {high:+.4f}]",
        "smallest found": difference.detectable(ALPHA),
        "p": f"{verdict.p:.2g}",
        "p (Holm)": f"{verdict.p_holm:.2g}",
        "verdict": verdict.verdict,
    }


def _method(seeds: int) -> str:
    error = (
        "The error of a difference covers training seeds and queries, both as samples of many (two-way crossed random "
        "effects, degrees of freedom by Satterthwaite)."
        if seeds > 1
        else "The error of a difference covers queries only (paired t-test): another training seed is not in it."
    )
    return (
        f"{error} A claim of an order is supported where the difference is above 0, one of no difference where it is "
        f"inside ±{MARGIN:.0%} of the compared row's mean (two one-sided tests), 'not below' where it is above "
        f"-{MARGIN:.0%}, 'slightly above' where it is above 0 and below {MARGIN:.0%}; contradicted where it is "
        f"significantly outside; undecided otherwise. p is two-sided; Holm's correction goes over all claims that "
        f"could be tested; significant is below {ALPHA:g}. 'Smallest found' is the true difference that a single "
        f"two-sided test finds with {POWER:.0%} power. A claim is not testable at this scale where a side of it was "
        "not measured here."
    )


if __name__ == "__main__":
    main(run, DESCRIPTION, ClaimOptions)
