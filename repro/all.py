"""Every table and figure of SimLM (Wang et al., ACL 2023), the verdicts on its claims, and an index.

Stages that tables have in common are made once. Stopped, the same command goes on where it was.

Examples:
  python -m repro.all                    everything at mini scale
  python -m repro.all --scale smoke      the same in small
  python -m repro.all --seeds 3          some claims over three seeds; the tables are the first's
  python -m repro.all --dry-run          what would run, and for how long
  python -m repro.all --publish          everything, copied to reports/mini/
"""

from dataclasses import fields, replace
from typing import Any

from repro import claims, index
from repro.command import Options, main, refuse
from repro.run import make, told_already
from repro.table import at_scale
from repro.tables import PAGES, SETTINGS, run_report, tables_on
from simlm.stages.pipeline import Submit


def run(options: claims.ClaimOptions) -> None:
    """Make all reports, one after the other; the first that fails ends it."""
    refuse(options, "all", "rows")
    claims.check_seeds(options)
    if options.dry_run or options.rehearse:
        make(_everything, options)
    if options.dry_run:
        return
    with told_already(options):
        _reports(options)


def _reports(options: claims.ClaimOptions) -> None:
    of_tables = Options(**{field.name: getattr(options, field.name) for field in fields(Options)})
    for name in (*tables_on(options.open_scale().collection), *PAGES):
        run_report(name, of_tables)
    # Pages of settings and the index run no stage, and refuse options that only stages read.
    usual: dict[str, Any] = {
        "device": Options.device,
        "processes": Options.processes,
        "search": Options.search,
        "rehearse": False,
        "results": of_tables.folder,
    }
    of_pages = replace(of_tables, **usual)
    if not options.variant:  # settings are the same for every seed and source of negatives
        for name in SETTINGS:
            run_report(name, of_pages)
    claims.run(options)
    index.run(of_pages)


def _everything(options: claims.ClaimOptions, submit: Submit) -> None:
    """Submit the run of every row of every table with one seed, and what the claims compare with every seed."""
    runs = options.pipeline_runs(submit)
    for table in tables_on(runs.scale.collection).values():
        for row in at_scale(table(), runs.scale).chosen([], references=options.publish):
            row.run(runs)
    for seed in claims.seeds_of(options):
        claims.asked(options, seed, submit)


if __name__ == "__main__":
    main(run, __doc__, claims.ClaimOptions)
