"""Runs a table or a page: plan, stages, report."""

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from reports.files import publish, write_report
from reports.model import Report
from reports.page import Page
from reports.terminal import print_report
from repro.command import Options, refuse
from repro.dryrun import print_plan
from repro.origin import StageResults, complete
from repro.pipeline_runs import PipelineRuns
from repro.table import Table, check_domains, labelled
from repro.trials import published_trials
from simlm.commands.collections import check_collections
from simlm.commands.display import TerminalDisplay
from simlm.commands.estimate import published
from simlm.commands.machine import choose_gpus
from simlm.commands.make import make as make_stages
from simlm.commands.make import make_folder
from simlm.commands.preflight import check_ready
from simlm.files import lock
from simlm.scales import open_scale
from simlm.workflow.plan import Build, Planned, plan
from simlm.workflow.stage import Stage

R = TypeVar("R")
ELSEWHERE = "estimates are those of InsuranceQA's 27,413 passages, but for stages like those that ran here before"


def run_table(table: Table, options: Options) -> None:
    """Make a table at the chosen scale and write its report below the results folder."""
    table = labelled(table, open_scale(options.scale, options.collection))
    rows = table.chosen(options.rows)
    check_domains(table, options)

    def build(submit: Any) -> dict[str, Stage]:
        pipeline_runs = PipelineRuns(
            open_scale(options.scale, options.collection), options.seed, submit, options.negatives
        )
        return {row.key: row.run(pipeline_runs) for row in rows}

    trials = published_trials(options.scale)
    started = time.perf_counter()
    made = make(build, options)
    if made is None:
        return
    stages, runs = made
    # Not before: ir_datasets makes folders below HOME when it is imported, and a mistake shall leave nothing there.
    from repro.extra_test_splits import with_extra_splits
    from repro.report_builder import build_report

    scale = open_scale(options.scale, options.collection)
    table, rows, runs = with_extra_splits(table, rows, runs, scale)
    report = build_report(table, rows, runs, stages, options, time.perf_counter() - started, trials)
    finish(report, table.name, options)


def run_page(name: str, ask: Callable[[PipelineRuns], R], fill: Callable[[str, R], Page], options: Options) -> None:
    """Make what a page asks for, have it filled for the scale of that name, add what every page says, and write it."""
    refuse(options, name, "rows")

    def build(submit: Any) -> R:
        return ask(PipelineRuns(open_scale(options.scale, options.collection), options.seed, submit, options.negatives))

    started = time.perf_counter()
    found = make(build, options)
    if found is None:
        return
    stages, asked = found
    page = fill(options.scale, asked)
    rows = asked if isinstance(asked, dict) else {"all of this page": asked}
    complete(page, name, options, StageResults.of(stages), time.perf_counter() - started, rows=rows)
    finish(page, name, options)


def finish(report: Report | Page, name: str, options: Options) -> None:
    """Write a report below the results folder, print it, and publish it if that was asked for."""
    make_folder(options.results)
    folder = options.results / options.scale / options.variant
    with lock(options.results / "report.lock"):
        written = write_report(report, folder, name)
    print_report(report)
    print(f"report: {written[0]}")
    if options.publish:
        for path in publish(folder, name, options.scale):
            print(f"published: {os.path.relpath(path)}")


def make(build: Build, options: Options) -> tuple[list[Planned], Any] | None:
    """Run every stage of ``build`` that is not valid; the plan and what ``build`` returned. A dry run only shows it."""
    check_collections(build, options.results.absolute(), fetch=not options.dry_run)
    choose_gpus()
    if options.dry_run:
        stages, _ = plan(build, options.results.absolute())
        print_plan(stages, options.scale, options.results, options.tflops or None)
        if options.collection and published(options.scale):
            print(ELSEWHERE)
        return None
    check_ready(build, options.scale, options.results)
    return make_stages(build, options.results, TerminalDisplay())
