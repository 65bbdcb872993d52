"""Runs a table or a page: plan, stages, report."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from reports.model import Report
from reports.page import Page
from reports.publish import publish
from reports.render import write_report
from reports.terminal import print_report
from repro.cells import Cells
from repro.command import Options, TerminalDisplay, refuse
from repro.dryrun import print_plan
from repro.origin import Made, complete
from repro.table import Table
from repro.trials import published_trials
from simlm.errors import UserError
from simlm.scales import open_scale
from simlm.stages.driver import run as run_stages
from simlm.stages.plan import Build, Planned, plan
from simlm.stages.stage import Stage

R = TypeVar("R")


def run_table(table: Table, options: Options) -> None:
    """Make a table at the chosen scale and write its report below the results folder."""
    rows = table.chosen(options.rows)

    def build(submit: Any) -> dict[str, Stage]:
        cells = Cells(open_scale(options.scale), options.seed, submit, options.negatives)
        return {row.key: row.run(cells) for row in rows}

    trials = published_trials(options.scale)
    started = time.perf_counter()
    made = make(build, options)
    if made is None:
        return
    stages, runs = made
    # Not before: ir_datasets makes folders below HOME when it is imported, and a mistake shall leave nothing there.
    from repro.fill import build_report

    report = build_report(table, rows, runs, stages, options, time.perf_counter() - started, trials)
    finish(report, table.name, options)


def run_page(name: str, ask: Callable[[Cells], R], fill: Callable[[str, R], Page], options: Options) -> None:
    """Make what a page asks for, have it filled for the scale of that name, add what every page says, and write it."""
    refuse(options, name, "rows")

    def build(submit: Any) -> R:
        return ask(Cells(open_scale(options.scale), options.seed, submit, options.negatives))

    started = time.perf_counter()
    found = make(build, options)
    if found is None:
        return
    stages, asked = found
    page = fill(options.scale, asked)
    complete(page, name, options, Made.of(stages), time.perf_counter() - started)
    finish(page, name, options)


def finish(report: Report | Page, name: str, options: Options) -> None:
    """Write a report below the results folder, print it, and publish it if that was asked for."""
    make_results(options)
    folder = options.results / options.scale / options.variant
    with FileLock(options.results / "report.lock"):
        written = write_report(report, folder, name)
    print_report(report)
    print(f"report: {written[0]}")
    if options.publish:
        for path in publish(folder, name, options.scale):
            print(f"published: {os.path.relpath(path)}")


def make(build: Build, options: Options) -> tuple[list[Planned], Any] | None:
    """Run every stage of ``build`` that is not valid; the plan and what ``build`` returned. A dry run only shows it."""
    if options.dry_run:
        stages, _ = plan(build, options.results.absolute())
        print_plan(stages, options.scale)
        return None
    _announce()
    make_results(options)
    with TerminalDisplay() as display:
        return run_stages(build, options.results.absolute(), display)


def make_results(options: Options) -> None:
    """The results folder, where it is not there yet."""
    try:
        options.results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results {options.results}: {error.strerror}; choose another folder") from None


def _announce() -> None:
    """Tell the stages' processes what their manifests shall record."""
    from reports.hardware import cpu_model
    from reports.provenance import source_state

    state = source_state(Path(__file__).resolve().parents[1])
    os.environ["SIMLM_COMMIT"] = f"{state.get('commit', 'unknown')}{'+changes' if state.get('dirty') else ''}"
    os.environ["SIMLM_HARDWARE"] = cpu_model() or "unknown"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    _choose_gpus()


def _choose_gpus() -> None:
    """One slot a GPU: their numbers, for the stages' processes."""
    from simlm.stages.slots import DEVICE

    if os.environ.get(DEVICE) == "cpu" or "SIMLM_GPUS" in os.environ or not _maybe_gpu():
        return
    import torch

    if torch.cuda.is_available():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        numbers = seen.split(",") if seen else [str(i) for i in range(torch.cuda.device_count())]
        os.environ["SIMLM_GPUS"] = ",".join(numbers)


def _maybe_gpu() -> bool:
    """Whether there is a driver's device, of NVIDIA, AMD or WSL: torch, which knows, takes seconds to import."""
    devices = Path("/dev")
    return not devices.is_dir() or any(list(devices.glob(name)) for name in ("nvidia*", "kfd", "dxg"))
