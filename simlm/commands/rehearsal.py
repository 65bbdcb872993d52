"""Rehearse a command: its stages with few updates on a part of the collection, and what that says of the whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from simlm.commands.dryrun import gpu_bytes, span
from simlm.commands.estimate import estimated
from simlm.commands.preflight import check_collections, check_gpu
from simlm.commands.run_stages import TerminalDisplay, run_stages
from simlm.costs.needs import misfits, size
from simlm.costs.sizes import note_whole, sizes_of
from simlm.costs.work import UNKNOWN, work_of
from simlm.errors import StageFailed, UserError
from simlm.scales.rehearsal import FOLDER
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.pipeline import Submit
from simlm.stages.runs import RunStage
from simlm.stages.vectors import TryVectors
from simlm.workflow.launchers import Launcher
from simlm.workflow.manifest import read_manifest, seconds_of
from simlm.workflow.plan import Build, Planned, job_of, resolve_graph
from simlm.workflow.stage import Stage, inputs_of

VECTORS = "vectors of the whole collection"
"""The name of the stage that a rehearsal has and the whole has not."""
MINUTES = 120
"""From so many seconds on a time is given in minutes."""
MADE_FROM = ("retriever", "passages", "start", "shape_of")
"""The parameters by which a search has its encoder, and an encoder the one that it was made from."""
DEPTH = 1_000
"""Passages a query that it is searched for."""


def folder_of(results: Path) -> Path:
    """Return the folder of a rehearsal's results, given that of the whole's or its own."""
    return results if results.name == FOLDER else results / FOLDER


@dataclass(frozen=True)
class Rehearsal:
    """A command's stages in a rehearsal, and those of the whole run.

    Args:
        build: the rehearsed stages.
        whole: the same call with the settings of the whole run; it asks for as many stages, in the same order.
        scale: whose published reports tell how long stages took.
        results: the rehearsal's results folder, below that of the whole.
        launcher: starts the stages.
    """

    build: Build
    whole: Build
    scale: str
    results: Path
    launcher: Launcher

    def with_vectors(self, submit: Submit) -> Any:
        """Build the rehearsed stages, and behind the first search the one that tries vectors of the whole."""
        searches: list[RunStage] = []

        def watched(stage: Stage, name: str) -> None:
            submit(stage, name)
            if isinstance(stage, RunStage) and "search" in work_of(stage).flop:
                searches.append(stage)

        built = self.build(watched)
        for one in searches[:1]:
            # Of the model at its root, which all searches have in common: they are tried once for all commands.
            submit(TryVectors.C(data=one.data, encoder=_root_of(one), depth=DEPTH), VECTORS)
        return built

    def run(self, display: TerminalDisplay) -> tuple[list[Planned], Any]:
        """Run every stage that is not finished; a failed one leaves out what depends on it and nothing else."""
        return run_stages(self.with_vectors, self.results, display, self.launcher, keep_going=True)

    def end(self, stages: Sequence[Planned]) -> None:
        """Print what each of the stages that `run` returned took, what the whole will take, and what would stop it.

        Raises:
            StageFailed: some stages failed.
        """
        parts = {stage.job: stage for stage in stages}
        pairs = [(whole, parts[self._part_of[whole.job]]) for whole in self._wholes]
        for whole, part in pairs:
            if isinstance(whole.config, Prepare) and isinstance(part.config, Prepare):
                note_whole(whole.config, part.config)
        trial = next((stage for stage in stages if stage.name == VECTORS), None)
        console = Console()
        console.print(self._table(pairs, trial), markup=False)
        for line in [*_tried(trial), *self._obstacles(stages)]:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        failed = [stage for stage in stages if not stage.finished]
        if failed:
            raise StageFailed(
                f"{len(failed)} of {len(stages)} stages of the rehearsal; the same command runs only those again"
            )

    @cached_property
    def _asked(self) -> tuple[list[Planned], list[Path], list[Path]]:
        """The whole's stages, and the folders of all that is asked for, the whole's and the rehearsal's."""
        stages, wholes = _in_order(self.whole, self.results.parent)
        for stage in (one for one in stages if read_manifest(one.job) is None):
            stage.reason = "new"
        return stages, wholes, _in_order(self.build, self.results)[1]

    @property
    def _wholes(self) -> list[Planned]:
        return self._asked[0]

    @cached_property
    def _part_of(self) -> dict[Path, Path]:
        """The folder of the rehearsed stage that stands for each of the whole's."""
        return dict(zip(*self._asked[1:], strict=True))

    def _table(self, pairs: Sequence[tuple[Planned, Planned]], trial: Planned | None) -> Table:
        reckoned = estimated(self._wholes, self.scale, self.launcher.choices).seconds
        table = Table("stage", "took here", "memory", "judging from that", "by the dry run", box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        begin = min((_seconds(part) for _, part in pairs if _numbers(part)), default=0.0)
        judged = {whole.job: judge(whole, part, trial, begin) for whole, part in pairs}
        for whole, part in pairs:
            manifest = read_manifest(part.job) or {}
            peak = max((one["peak_bytes"] for one in manifest.get("attempts", [])), default=0)
            table.add_row(
                whole.name,
                f"{seconds_of(manifest):.0f} s" if manifest else "left out" if _inherits(part) else "failed",
                size(peak) if manifest else "–",
                *(_said(found.get(whole.job)) for found in (judged, reckoned)),
            )
        here = sum(_seconds(part) for part in {part.job: part for _, part in pairs}.values())
        table.add_row("together", f"{here:.0f} s", "", *(_sum(pairs, found) for found in (judged, reckoned)))
        return table

    def _obstacles(self, stages: Sequence[Planned]) -> list[str]:
        """Return what would stop the whole run, in words."""
        choices = self.launcher.choices
        todo = [stage for stage in self._wholes if not stage.finished]
        own = (stage for stage in stages if stage.failure is not None and not _inherits(stage))
        found = [f"{stage.name}: {stage.failure}" for stage in own]
        try:
            check_collections(self.whole, self.results.parent)
            if not choices.alone:
                check_gpu(todo, self.scale, choices)
        except UserError as error:
            found.append(str(error))
        works = {stage.name: work_of(stage.config) for stage in todo}
        found += misfits(works, self.results.parent, gpu_bytes(choices))
        if not found:
            return ["nothing was found that would stop the whole run"]
        return ["what would stop the whole run, or slow it down:", *(f"  {line}" for line in dict.fromkeys(found))]


def judge(whole: Planned, part: Planned, trial: Planned | None, begin: float) -> float | None:
    """Return the seconds that a stage of the whole run will take, judging from its rehearsal; None where that failed.

    A training takes as much longer as it has more updates; a search as the passages and the queries take that it has
    more; another stage so many times as it has more to do. What is short here was not yet at full speed: the whole may
    be faster.

    Args:
        whole: the stage.
        part: its rehearsal.
        trial: the stage that tried vectors of the whole collection.
        begin: seconds that a stage takes before it does anything.
    """
    config: Any = whole.config
    brief: Any = part.config
    numbers = _numbers(part)
    if numbers is None or config is None or brief is None:
        return None
    seconds, all_work, work = _seconds(part), work_of(config), work_of(brief)
    update = seconds_an_update(part.job)
    if update is not None:
        return seconds + (_updates(config) - _updates(brief)) * update
    if UNKNOWN in (all_work, work):
        return None
    searched = None if trial is None else _numbers(trial)
    if searched and "search" in all_work.flop and numbers.get("passages_per_second"):
        all_sizes, sizes, splits = sizes_of(config.data), sizes_of(brief.data), config.splits
        passages = (all_sizes.passages - sizes.passages) / numbers["passages_per_second"]
        return seconds + passages + all_sizes.count(splits) * searched["search_seconds"] / searched["queries"]
    amounts = (all_work.all_flop, work.all_flop) if work.flop else (all_work.disk_bytes, work.disk_bytes)
    ratio = amounts[0] / amounts[1] if amounts[1] else 1.0
    return begin + (seconds - begin) * max(1.0, ratio)


def seconds_an_update(job: Path) -> float | None:
    """Return what an update of a training takes, without checkpoints and evaluations; None where none was trained.

    It is the median over the faster half of the updates but the first: between the others checkpoints are written.
    """
    folder = job / "tensorboard"
    if not folder.is_dir():
        return None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # takes a second

    events = EventAccumulator(str(folder)).Reload()
    if "train/loss" not in events.Tags()["scalars"]:
        return None
    times = [one.wall_time for one in events.Scalars("train/loss")]
    gaps = sorted(after - before for before, after in zip(times, times[1:], strict=False))
    return median(gaps[: -(-len(gaps) // 2)]) if gaps else None


def _updates(training: Any) -> int:
    return int(training.settings.optimisation.steps)


def _root_of(search: RunStage) -> EncoderStage:
    """Return the model that the encoder of a search was made from, by trainings or otherwise."""
    stage: Stage = search
    while names := [name for name in MADE_FROM if name in inputs_of(stage)]:
        stage = inputs_of(stage)[names[0]]
    assert isinstance(stage, EncoderStage)
    return stage


def _in_order(build: Build, results: Path) -> tuple[list[Planned], list[Path]]:
    """Return the stages that a call asks for, each once, and the folder of each time that it asks for one."""
    asked: list[Stage] = []

    def watching(submit: Submit) -> Any:
        def watched(stage: Stage, name: str) -> None:
            submit(stage, name)
            asked.append(stage)

        return build(watched)

    stages, _ = resolve_graph(watching, results)
    return stages, [job_of(stage) for stage in asked]


def _inherits(stage: Planned) -> bool:
    """Tell whether a stage was left out because of one that it depends on."""
    return any(one.failure is not None for one in stage.inputs.values())


def _numbers(stage: Planned) -> dict[str, Any] | None:
    return (read_manifest(stage.job) or {}).get("numbers")


def _seconds(stage: Planned) -> float:
    return seconds_of(read_manifest(stage.job) or {})


def _said(seconds: float | None) -> str:
    return "unknown" if seconds is None else span(seconds) if seconds >= MINUTES else f"{seconds:.0f} s"


def _sum(pairs: Iterable[tuple[Planned, Planned]], seconds: Mapping[Path, float | None]) -> str:
    found = [seconds.get(whole.job) for whole, _ in pairs]
    known = [one for one in found if one is not None]
    without = f", without {len(found) - len(known)} stages" if len(known) < len(found) else ""
    return f"{_said(sum(known))}{without}" if known else _said(None)


def _tried(trial: Planned | None) -> list[str]:
    """Say what the trial of vectors found."""
    found = None if trial is None else _numbers(trial)
    if not found:
        return []
    return [
        f"vectors of the whole collection, {found['vectors']:,} of {found['width']} dimensions "
        f"({size(found['bytes'])}): written in {found['write_seconds']:.1f} s, searched for {found['queries']} queries "
        f"in {found['search_seconds']:.1f} s, made ready to answer single queries in {found['resident_seconds']:.1f} s"
    ]
