"""Which of the paper's claims about order hold here: `python -m repro.claims --help` lists the options."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import table3
from repro.claimed import CLAIMS, Claim
from repro.command import Options, main, refuse
from repro.judged import Counted, Sides, claims_page
from repro.origin import StageResults, complete
from repro.pipeline_runs import PipelineRuns
from repro.run import finish, make
from repro.tables import TABLES, tables_on
from repro.training_diagnostics import untrained_teacher
from simlm.commands.checks import check_seed
from simlm.commands.seeds import naming_seed
from simlm.scales import open_scale
from simlm.stages.pipeline import Submit
from simlm.stages.runs import Retrieve, RunStage

DESCRIPTION = """The claims that SimLM (Wang et al., ACL 2023) makes about order, each with a verdict.

Every row that a claim compares is made first, where it is not there yet; after the tables, all of them are.

Examples:
  python -m repro.claims                    one run of every row at mini scale, tests over queries
  python -m repro.claims --seeds 3          three runs of every row, tests over seeds and queries
  python -m repro.claims --dry-run          what would run, and for how long
"""


@dataclass(frozen=True)
class ClaimOptions(Options):
    """How to judge claims."""

    seeds: int = 1
    """How many runs of every row: 0, 1, ... are added to every seed of the scale."""


@dataclass
class Asked:
    """What the claims stand on: the pairs of rows of each claim, by its key, and the index that Table 3 weighs."""

    sides: dict[str, list[Sides]]
    index: Retrieve

    def rows(self) -> dict[str, list[RunStage]]:
        """Every seed's run of each row that is compared, by the row's table and key."""
        found: dict[str, list[RunStage]] = {}
        for claim in (one for one in CLAIMS if one.key in self.sides):
            for keys, pair in zip(claim.pairs, self.sides[claim.key], strict=True):
                for key, runs in zip(keys, zip(*pair, strict=True), strict=True):
                    found[f"{claim.table} {key}"] = list(runs)
        return found

    def runs(self) -> dict[str, list[RunStage]]:
        """Every run of a claim, by its key."""
        return {key: [run for pair in pairs for both in pair for run in both] for key, pairs in self.sides.items()}


def ask(pipeline_runs: PipelineRuns) -> dict[str, list[tuple[RunStage, RunStage]]]:
    """The runs of every pair (higher, lower) of each claim whose rows are all measured, by the claim's key."""
    tables = tables_on(pipeline_runs.scale.collection)
    rows = {name: {row.key: row for row in table().rows} for name, table in tables.items()}
    return {
        claim.key: [
            (rows[claim.table][higher].run(pipeline_runs), rows[claim.table][lower].run(pipeline_runs))
            for higher, lower in claim.pairs
        ]
        for claim in CLAIMS
        if {key for pair in claim.pairs for key in pair} <= set(rows.get(claim.table, {}))
    }


def building(options: ClaimOptions) -> Callable[[Submit], Asked]:
    """Builds what the claims stand on, for every seed."""

    def build(submit: Submit) -> Asked:
        sides: dict[str, list[Sides]] = {}
        index: Retrieve | None = None
        for seed in range(options.seed, options.seed + options.seeds):
            scale = open_scale(options.scale, options.collection)
            pipeline_runs = PipelineRuns(scale, seed, naming_seed(submit, seed), options.negatives)
            for key, pairs in ask(pipeline_runs).items():
                for pair, found in zip(pairs, sides.setdefault(key, [[] for _ in pairs]), strict=True):
                    found.append(pair)
            index = index or table3.ask(pipeline_runs)
        assert index is not None, "check_seeds lets no range without a seed pass"
        return Asked(sides, index)

    return build


def run(options: ClaimOptions) -> None:
    """Make what is lacking, judge every claim, and write the page."""
    refuse(options, "claims", "rows")
    check_seeds(options)
    started = time.perf_counter()
    made = make(building(options), options)
    if made is None:
        return
    stages, asked = made
    found = StageResults.of(stages)
    runs = asked.runs()
    measures = {claim.key: measure_of(claim) for claim in CLAIMS if claim.key in runs}
    page = claims_page(
        options.scale, asked.sides, measures, options.seeds, void(runs, found.names()), [smaller(asked.index)]
    )
    tested = {run.data.collection: run.data for of_claim in runs.values() for run in of_claim}
    complete(
        page,
        "claims",
        options,
        found,
        time.perf_counter() - started,
        tested=[data.source() for data in tested.values()],
        measures=sorted(set(measures.values())),
        seeds=range(options.seed, options.seed + options.seeds),
        rows=asked.rows(),
    )
    finish(page, "claims", options)


def check_seeds(options: ClaimOptions) -> None:
    """UserError for no seed at all, or one that is too large."""
    check_seed("--seeds", options.seeds, 1)
    check_seed("--seed and --seeds together", options.seed + options.seeds, 1)


def measure_of(claim: Claim) -> str:
    """What a claim is judged by."""
    return claim.measure or TABLES[claim.table]().measure_of(claim.higher)


def void(runs: Mapping[str, Sequence[RunStage]], names: Mapping[Path, str]) -> dict[str, str]:
    """Why claims about a trained re-ranker cannot be tested, by their keys; nothing for those that can."""
    reasons = {
        claim.key: untrained_teacher(runs[claim.key], names)
        for claim in CLAIMS
        if claim.with_teacher and claim.key in runs
    }
    return {key: reason for key, reason in reasons.items() if reason is not None}


def smaller(index: Retrieve) -> Counted:
    """Table 3's order, counted from a finished index."""
    ours, many = table3.sizes(index)
    sentence = "An index of one vector a passage is smaller than one of a vector a token."
    return Counted(sentence, "Table 3", "bytes", many, ours)


if __name__ == "__main__":
    main(run, DESCRIPTION, ClaimOptions)
