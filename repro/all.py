"""Every table, figure and page of a scale, one after the other: `python -m repro.all --help` lists the options."""

import importlib
from dataclasses import fields, replace

from repro import claims, index
from repro.command import Options, main, refuse
from repro.pipeline_runs import PipelineRuns
from repro.run import make
from repro.tables import tables_on
from simlm.scales import open_scale
from simlm.stages.pipeline import Submit

DESCRIPTION = """Every table and figure of SimLM (Wang et al., ACL 2023), the verdicts on its claims, and an index.

Stages that tables have in common are made once. Stopped, the same command goes on where it was.

Examples:
  python -m repro.all                    everything at mini scale
  python -m repro.all --scale smoke      the same in small
  python -m repro.all --seeds 3          the claims over three seeds; the tables are the first seed's
  python -m repro.all --dry-run          what would run, and for how long
  python -m repro.all --publish          everything, copied to reports/mini/
"""

PAGES = ("table3", "table9")
"""What is no table of runs, on Table 2's stages."""
SETTINGS = ("table11", "table13")
"""What stands on no stage: the settings of a scale, the same for every seed, device and source of negatives."""


def run(options: claims.ClaimOptions) -> None:
    """Make all reports; the first that fails ends it."""
    refuse(options, "all", "rows")
    claims.check_seeds(options)
    if options.dry_run:
        make(lambda submit: _everything(options, submit), options)
        return
    table = Options(**{field.name: getattr(options, field.name) for field in fields(Options)})
    for name in (*tables_on(open_scale(options.scale, options.collection).collection), *PAGES):
        importlib.import_module(f"repro.{name}").run(table)
    # What these refuse, since they run no stage.
    page = replace(table, device=Options.device, processes=Options.processes, search=Options.search)
    if not options.variant:
        for name in SETTINGS:
            importlib.import_module(f"repro.{name}").run(page)
    claims.run(options)
    index.run(page)


def _everything(options: claims.ClaimOptions, submit: Submit) -> None:
    """The run of every row of every table, with one seed; what the claims compare, with each of them."""
    scale = open_scale(options.scale, options.collection)
    runs = PipelineRuns(scale, options.seed, submit, options.negatives)
    for table in tables_on(scale.collection).values():
        for row in table().rows:
            row.run(runs)
    claims.building(options)(submit)


if __name__ == "__main__":
    main(run, DESCRIPTION, claims.ClaimOptions)
