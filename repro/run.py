"""Run a table or a page: plan it, make its stages, write its report."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from functools import partial
from io import StringIO
from typing import Any, TypeVar

from reports.files import publish, write_report
from reports.model import Report
from reports.page import Page
from reports.terminal import print_report
from repro.command import Options, main, refuse
from repro.origin import StageResults, complete, without_minilm
from repro.pipeline_runs import PipelineRuns
from repro.released import ReleasedOptions, checkpoints_for, released
from repro.table import Table, at_scale, check_domains
from repro.trials import published_trials
from simlm.commands.dryrun import print_plan
from simlm.commands.estimate import published
from simlm.commands.preflight import check_collections, check_ready
from simlm.commands.rehearsal import Rehearsal
from simlm.commands.run_stages import TerminalDisplay, make_folder, run_stages
from simlm.files import lock
from simlm.paths import shown
from simlm.stages.pipeline import Submit
from simlm.stages.runs import RunStage
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.plan import Planned, plan, resolve_graph

CITATION = "SimLM (Wang et al., ACL 2023)"
R = TypeVar("R")
Chosen = TypeVar("Chosen", bound=Options)
ELSEWHERE = "estimates are those of InsuranceQA's 27,413 passages, but for stages like those that ran here before"


def table_command(table: Table, doc: str | None) -> None:
    """Run a table's module as a command; its help is ``doc``, the docstring of the module, and examples."""
    main(partial(run_table, table), _help(table, doc or ""), ReleasedOptions if table.released else Options)


def _help(table: Table, doc: str) -> str:
    rows = " ".join(row.key for row in table.rows[:2])
    examples = {
        "": "the whole table at mini scale",
        "--scale smoke": "the same in small, on a few hundred passages",
        "--dry-run": "what would run, and for how long",
        "--scale paper --rehearse": "whether all of that will run on this machine, in minutes",
        f"--rows {rows}": "two rows, with the stages that they need",
    }
    if table.released:
        examples["--scale paper --released"] = "the published checkpoints, without training"
    commands = {f"python -m repro.{table.name} {options}".rstrip(): said for options, said in examples.items()}
    width = max(map(len, commands))
    lines = [f"  {command:{width}}  {said}" for command, said in commands.items()]
    return "\n".join([doc.replace(":", f" of {CITATION}:", 1).strip(), "", "Examples:", *lines])


def run_table(table: Table, options: Options) -> None:
    """Make a table at the chosen scale and write its report below the results folder."""
    checkpoints = checkpoints_for(options)
    if checkpoints is not None:
        table = released(table, checkpoints, options)
    table = at_scale(table, options.open_scale())
    rows = table.chosen(options.rows, references=options.publish)
    check_domains(table, options)

    def build(chosen: Options, submit: Submit) -> dict[str, RunStage]:
        pipeline_runs = chosen.pipeline_runs(submit)
        return {row.key: row.run(pipeline_runs) for row in rows}

    trials = published_trials(options.scale)
    started = time.perf_counter()
    made = make(build, options)
    if made is None:
        return
    stages, runs = made
    # Not before: ir_datasets makes folders below HOME when it is imported, and a mistake shall leave nothing there.
    from repro.extra_test_splits import with_extra_splits, with_relevant_grades
    from repro.report_builder import build_report

    table = with_relevant_grades(table, next(iter(runs.values())))
    table, rows, runs = with_extra_splits(table, rows, runs, options.open_scale())
    report = build_report(table, rows, runs, stages, options, time.perf_counter() - started, trials)
    finish(report, table.name, options)


def run_page(name: str, ask: Callable[[PipelineRuns], R], fill: Callable[[str, R], Page], options: Options) -> None:
    """Make the runs of a page and write it below the results folder.

    Args:
        name: The name of the page.
        ask: Returns what the page is made of: a run, or several by the names of their rows.
        fill: Makes the page from the name of the scale and what ``ask`` returned.
        options: How to run it; ``--rows`` is refused.
    """
    refuse(options, name, "rows")
    started = time.perf_counter()
    found = make(lambda chosen, submit: ask(chosen.pipeline_runs(submit)), options)
    if found is None:
        return
    stages, asked = found
    page = fill(options.scale, asked)
    rows = asked if isinstance(asked, dict) else {"all of this page": asked}
    complete(page, name, options, StageResults.of(stages), time.perf_counter() - started, rows=rows)
    finish(page, name, options)


def finish(report: Report | Page, name: str, options: Options) -> None:
    """Write a report below the results folder, print it, and publish it if the options say so.

    A rehearsal's is written, and not printed: its figures mean nothing.
    """
    make_folder(options.folder)
    folder = options.folder / options.scale / options.variant
    with lock(options.folder / "report.lock"):
        written = write_report(report, folder, name)
    if not options.rehearse:
        print_report(report)
    print(f"report: {shown(written[0])}")
    if options.publish:
        for path in publish(folder, name, options.published_in):
            print(f"published: {shown(path)}")


def told_already(options: Options) -> AbstractContextManager[object]:
    """Print nothing in the block if it repeats in parts a rehearsal whose end was told for the whole."""
    return redirect_stdout(StringIO()) if options.rehearse else nullcontext()


def make(asked: Callable[[Chosen, Submit], Any], options: Chosen) -> tuple[list[Planned], Any] | None:
    """Run every stage of a call that is not finished.

    Args:
        asked: Builds the stages with the options that it is given, those of a rehearsal or of the whole run.
        options: How to run them.

    Returns:
        All stages, and what ``asked`` returned. None after a dry run, which only prints the plan.
    """
    build, whole = partial(asked, options), partial(asked, options.whole())
    # A mistake in a collection is told with its file and line, which a part of it does not know.
    check_collections(whole, options.results, fetch=not options.dry_run)
    choices = options.choices()
    for line in without_minilm(options, (one.config for one in resolve_graph(build, options.folder)[0])):
        print(line)
    if options.dry_run:
        stages, _ = plan(build, options.folder)
        print_plan(stages, options.scale, options.folder, choices, options.tflops or None)
        if options.collection and published(options.scale):
            print(ELSEWHERE)
        return None
    check_ready(build, options.scale, options.folder, choices)
    launcher, display = LocalLauncher(choices), TerminalDisplay()
    if not options.rehearse:
        return run_stages(build, options.folder, display, launcher)
    rehearsal = Rehearsal(build, whole, options.scale, options.results, launcher)
    stages, built = rehearsal.run(display)
    rehearsal.end(stages)
    return stages, built
