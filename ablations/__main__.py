"""Ablations of SimLM (Wang et al., ACL 2023) as one grid: every start of some, with several seeds.

Stages that cells, seeds and tables have in common are made once. A cell that fails is listed at the end with its log;
the others go on, and the same command then runs only what failed.

Examples:
  python -m ablations --grids objectives --seeds 3             Table 7's starts, three seeds each
  python -m ablations --dry-run                                every grid's cells, shared stages and time
  python -m ablations --join DIR                               take over what another machine has finished first
  python -m ablations --rehearse                               few updates on a part of the collection, in minutes
  python -m ablations --slurm partition=gpu gpus=1 mem=16G     each stage a Slurm job
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from ablations.dryrun import print_grid_plan
from ablations.grids import BY_DOMAIN, GRIDS, Cell, build_cells, cells_of
from ablations.outcome import GridDisplay, outcomes, print_outcomes, write_outcomes
from simlm.commands.checks import (
    check_collection,
    check_common,
    check_known,
    check_machine,
    check_processes,
    check_scale,
    check_search,
    check_seed,
    check_tflops,
)
from simlm.commands.command_line import parse
from simlm.commands.leave import leave_by
from simlm.commands.machine import chosen_precision, on_this_machine, with_origin
from simlm.commands.preflight import check_collections, check_ready
from simlm.commands.rehearsal import Rehearsal
from simlm.commands.run_stages import make_folder, run_stages
from simlm.data.catalogue import halves
from simlm.data.lookup import resolve
from simlm.errors import StageFailed, UserError
from simlm.files import short_name
from simlm.paths import shown
from simlm.scales import PRECISIONS, Scale, open_scale, other_collection
from simlm.scales.rehearsal import FOLDER, rehearsed
from simlm.stages.runs import RunStage
from simlm.workflow.joining import Joinable, joinable, take
from simlm.workflow.launchers import Launcher, LocalLauncher
from simlm.workflow.plan import Build, Planned, plan
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import only_run
from simlm.workflow.slurm import asks_for_gpus, slurm_launcher


@dataclass(frozen=True)
class Options:
    """What to run, and where."""

    grids: tuple[str, ...] = tuple(GRIDS)
    """Ablations to run, e.g. --grids objectives replace_rates generators (plms, steps, corpora); all when left out."""
    seeds: int = 1
    """How many seeds: 0, which is the published tables', to this number less one."""
    scale: str = "mini"
    """smoke (for tests), mini (InsuranceQA on two cores), small (the same from a public model) or paper (MS MARCO)."""
    collection: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """A folder, irds:ID, or a name, in place of the scale's own (docs/own-collection.md)."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes every GPU there is, one stage on each."""
    precision: str = "auto"
    """auto, float32 or bfloat16: what stages compute in; auto is bfloat16 on GPUs, and on processors that have it."""
    processes: int = 1
    """How many processes share each stage's training, encoding, searching and scoring; on GPUs each takes one."""
    search: str = "torch"
    """What finds the nearest passages, torch or faiss (in the extras cpu and gpu): the same runs up to rounding."""
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    """Folder of stages and outcomes, the tables' as well. What is finished there is reused."""
    join: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR ...")] = ()
    """Results folders made elsewhere: stages of these grids that are finished there and verify are copied first."""
    slurm: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...")] = ()
    """Run each stage as a Slurm job with options of sbatch, e.g. partition=gpu gpus=1 (nodes=2 gpus_per_node=8)."""
    rehearse: bool = False
    """Try everything first: few updates on a part of the collection, into <results>/rehearsal; ends with what each
    stage took, what the whole run will take, and what would stop it (docs/paper-scale.md)."""
    dry_run: bool = False
    """List cells, shared stages, and an estimate of the time and of what they need, and stop."""
    tflops: float = 0.0
    """With --dry-run: the estimate for a GPU that reaches so many TFLOP/s in bfloat16 matrix products (H100: 800)."""

    def __post_init__(self) -> None:
        """Take a scale's own collection as if it were not named."""
        object.__setattr__(self, "collection", other_collection(self.scale, self.collection))

    @property
    def folder(self) -> Path:
        """Return the folder of stages and outcomes: a rehearsal's is apart from all others."""
        return self.results / FOLDER if self.rehearse else self.results


def check(options: Options) -> None:
    """Raise UserError for options that cannot work, before anything is written."""
    if not options.grids:
        raise UserError(f"--grids: name at least one of {', '.join(GRIDS)}, or leave the option out for all")
    for grid in options.grids:
        check_known("grid", grid, GRIDS)
    check_seed("--seeds", options.seeds, 1)
    check_tflops(options.tflops, options.dry_run)
    if options.join and options.rehearse:
        raise UserError("--join: a rehearsal tries all stages itself; leave out --join, or --rehearse")
    check_known("precision", options.precision, ("auto", *PRECISIONS))
    check_scale(options.scale)
    # The machine that submits jobs need not have what those that run them have.
    reports = Path(options.scale, _variant(options), "grid")
    check_machine("auto" if options.slurm else options.device, options.folder, reports)
    check_processes(options.processes, None if options.slurm else options.device, options.folder)
    check_search(options.search, None if options.slurm else options.device)
    if options.collection:
        check_collection(options.collection, options.scale)


def _grids(options: Options) -> Sequence[str]:
    """Return the grids that were named; otherwise all that can be made on the collection."""
    own = halves(open_scale(options.scale, options.collection).collection)
    return options.grids if own or options.grids != tuple(GRIDS) else [one for one in GRIDS if one != BY_DOMAIN]


def run(options: Options) -> None:
    """Run the grid, or show what that would do.

    Raises:
        StageFailed: Some cells failed.
    """
    check(options)
    results = options.folder
    choices = with_origin(Choices(options.device, options.processes, options.search))
    launcher: Launcher
    if options.slurm:
        launcher = slurm_launcher(options.slurm, choices)
        if launcher.options.nodes > 1:
            check_common(results)
        on_gpu = options.device != "cpu" and asks_for_gpus(launcher.options)
    else:
        launcher = LocalLauncher(on_this_machine(choices))
        on_gpu = bool(launcher.choices.gpus)

    def scale() -> Scale:
        own = open_scale(options.scale, options.collection)
        return replace(own, precision=chosen_precision(options.precision, own.precision, lambda: on_gpu))

    grids, left_out = _grids(options), scale().left_out
    cells = cells_of(grids, options.seeds, left_out)
    if missing := [start for start in left_out if any(start in GRIDS[grid] for grid in grids)]:
        print(f"the scale {options.scale} leaves out {', '.join(missing)}")
    whole = build_cells(cells, scale)
    build = build_cells(cells, lambda: rehearsed(scale())) if options.rehearse else whole
    check_collections(whole, options.results, fetch=not options.dry_run)
    found = joinable(build, results, options.join) if options.join else Joinable([], [])
    if options.dry_run:
        planned = _planned(build, results)
        print_grid_plan(*planned, options.scale, results, launcher.choices, options.tflops or None)
        for line in found.refused:
            print(line)
        if options.join:
            print(f"{len(found.stages)} of the stages to do can be joined")
        return
    check_ready(build, options.scale, results, launcher.choices)
    display = GridDisplay(_planned(build, results)[0])
    for line in found.refused:
        display.say(line)
    if found.stages:
        make_folder(results)
        with only_run(results, display):
            taken = take(joinable(build, results, options.join).stages)
        display.say(f"joined {taken} stages from {', '.join(map(str, options.join))}")
    rehearsal = Rehearsal(build, whole, options.scale, options.results, launcher) if options.rehearse else None
    if rehearsal is None:
        stages, runs = run_stages(build, results, display, launcher, keep_going=True)
    else:
        stages, runs = rehearsal.run(display)
    ended = outcomes(_by_cell(stages, runs))
    written = write_outcomes(ended, options.scale, results / options.scale / _variant(options) / "grid")
    if rehearsal is None:
        print_outcomes(ended)
    print("outcome: " + ", ".join(map(shown, written)))
    if rehearsal is not None:
        rehearsal.end(stages)  # which tells failed cells; its figures mean nothing
    failed = sum(one["state"] == "failed" for one in ended)
    if failed:
        raise StageFailed(f"{failed} of {len(ended)} cells; the same command runs only those again")


def _variant(options: Options) -> str:
    """Return the name of the folder for an outcome that differs, the same as for tables (`repro.command`)."""
    parts = [f"collection-{resolve(options.collection).slug}"] if options.collection else []
    return short_name("_".join([*parts, *([] if options.precision == "auto" else [options.precision])]))


def _planned(build: Build, results: Path) -> tuple[dict[Cell, Planned], list[Planned]]:
    stages, runs = plan(build, results)
    return _by_cell(stages, runs), stages


def _by_cell(stages: Sequence[Planned], runs: Mapping[Cell, RunStage]) -> dict[Cell, Planned]:
    by_job = {stage.job: stage for stage in stages}
    return {cell: by_job[Path(run.__xpm__.job.path)] for cell, run in runs.items()}


def main() -> None:
    """Run the command."""
    leave_by(lambda: run(parse(Options, __doc__ or "", prog="python -m ablations")))


if __name__ == "__main__":
    main()
