"""The runs that the paper's claims compare, made seed by seed, or taken from a seed that is published already."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import NamedTuple

from reports.page import Cell
from reports.verdicts import CONTRADICTED, SUPPORTED
from repro import table3, training_diagnostics
from repro.command import Options
from repro.origin import StageResults, data_of
from repro.paper_claims import CLAIMS, Claim, RowOf
from repro.pipeline_runs import PipelineRuns
from repro.run import make
from repro.run_values import measure_on, values_of
from repro.seed_file import SeedFile, path_of, read, value_lists, write
from repro.table import at_scale
from repro.tables import TABLES, tables_on
from simlm.commands.checks import check_seed
from simlm.commands.seeds import naming_seed
from simlm.paths import shown
from simlm.stages.pipeline import Submit
from simlm.stages.runs import Retrieve, RunStage
from simlm.workflow.plan import resolve_graph


@dataclass(frozen=True)
class ClaimOptions(Options):
    """How to judge claims."""

    seeds: int = 1
    """How many runs of the rows of those claims that are tested over seeds: 0, 1, ... are added to every seed."""


class Seed(NamedTuple):
    """The runs that claims compare with one seed, by row, and what they left."""

    rows: Mapping[RowOf, RunStage]
    left: SeedFile


def ask(runs: PipelineRuns, claims: Sequence[Claim]) -> dict[RowOf, RunStage]:
    """Return the run of every row that is compared by one of these claims whose rows are all measured."""
    tables = tables_on(runs.scale.collection)
    measured = {
        (name, row.key): row for name, table in tables.items() for row in at_scale(table(), runs.scale).chosen([])
    }
    compared = [row for claim in claims if measured.keys() >= set(claim.rows) for row in claim.rows]
    return {row: measured[row].run(runs) for row in dict.fromkeys(compared)}


def asked(options: ClaimOptions, seed: int, submit: Submit) -> tuple[dict[RowOf, RunStage], Retrieve | None]:
    """Build the runs that the claims compare with one seed, and with the first one the index that Table 3 weighs.

    Seeds after the first make the rows of those claims alone that are tested over seeds.
    """
    runs = replace(options, seed=seed).pipeline_runs(naming_seed(submit, seed))
    if seed == options.seed:
        return ask(runs, CLAIMS), table3.ask(runs)
    return ask(runs, [claim for claim in CLAIMS if claim.over_seeds]), None


def seeds_of(options: ClaimOptions) -> range:
    """Return what is added to the scale's seeds, for one run after the other."""
    return range(options.seed, options.seed + options.seeds)


def check_seeds(options: ClaimOptions) -> None:
    """Raise UserError if there is no seed, or one that is too large."""
    check_seed("--seeds", options.seeds, 1)
    check_seed("--seed and --seeds together", options.seed + options.seeds, 1)


def measure_of(claim: Claim) -> str:
    """Return the measure that a claim is judged by."""
    return claim.measure or TABLES[claim.table]().measure_of(claim.pairs[0][0])


def measures_of(rows: Mapping[RowOf, RunStage]) -> dict[RowOf, list[str]]:
    """Return what each row is measured by in the claims whose rows are all there."""
    found: dict[RowOf, list[str]] = {}
    for claim in CLAIMS:
        for row in claim.rows if rows.keys() >= set(claim.rows) else ():
            names = found.setdefault(row, [])
            name = measure_on(rows[row], measure_of(claim))
            names += [name] if name not in names else []
    return found


def published_seed(options: ClaimOptions, seed: int) -> Seed | None:
    """Return a seed that is published already, where today's code and settings made it; only ``--publish`` asks."""
    left = read(path_of(options.published_in, seed)) if options.publish else None
    if left is None:
        return None
    planned, (rows, _) = resolve_graph(partial(asked, options, seed), options.folder)
    wanted = (left.has(rows[row], name) for row, names in measures_of(rows).items() for name in names)
    return Seed(rows, left) if left.is_of(planned) and all(wanted) else None


def made_seed(options: ClaimOptions, seed: int) -> Seed:
    """Make the runs of a seed, or find them made, and publish what they left if the options say so."""
    made = make(lambda chosen, submit: asked(chosen, seed, submit), options)
    assert made is not None, "no dry run"
    stages, (rows, index) = made
    results = StageResults.of(stages)
    queries, values = value_lists(
        (rows[row], values_of(rows[row], names)[names]) for row, names in measures_of(rows).items()
    )
    reasons = {
        claim.key: training_diagnostics.untrained_teacher((rows[row] for row in claim.rows), results.names())
        for claim in CLAIMS
        if claim.with_teacher and rows.keys() >= set(claim.rows)
    }
    left = SeedFile(
        stages=results.identities(),
        facts=[asdict(fact) for fact in results.facts()],
        runs=results.runs(),
        data=data_of(list({run.data.collection: run.data for run in rows.values()}.values())),
        warnings=training_diagnostics.warnings({" ".join(row): run for row, run in rows.items()}, results.names()),
        void={key: reason for key, reason in reasons.items() if reason is not None},
        counted=[] if index is None else [smaller_index(index)],
        queries=queries,
        values=values,
    )
    if options.publish:
        write(left, path_of(options.published_in, seed))
        print(f"published: {shown(path_of(options.published_in, seed))}")
    return Seed(rows, left)


def smaller_index(index: Retrieve) -> dict[str, Cell]:
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
