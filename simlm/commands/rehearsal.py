"""Rehearse a command: its stages with few updates on a part of the collection, and what that says of the whole."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simlm.commands.dryrun import gpu_bytes, span
from simlm.commands.estimate import estimated
from simlm.commands.judging import judge, numbers_of, seconds_here
from simlm.commands.preflight import check_gpu
from simlm.commands.run_stages import TerminalDisplay, make_folder, run_stages
from simlm.costs.needs import check_disk, in_parts, size
from simlm.costs.sizes import note_whole
from simlm.costs.work import total, work_of
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
from simlm.workflow.resources import CHOICES, Choices
from simlm.workflow.scheduler import only_run
from simlm.workflow.stage import Stage, inputs_of

VECTORS = "vectors of the whole collection"
"""The name of the stage that a rehearsal has and the whole has not."""
MINUTES = 120
"""From so many seconds on a time is given in minutes."""
MADE_FROM = ("retriever", "passages", "start", "shape_of")
"""The parameters by which a search has its encoder, and an encoder the one that it was made from."""
DEPTH = 1_000
"""Passages a query that it is searched for."""
NOTHING = "nothing was found that would stop the whole run"


@dataclass(frozen=True)
class Rehearsal:
    """A command's stages in a rehearsal, and those of the whole run.

    Args:
        build: the rehearsed stages.
        whole: the same call with the settings of the whole run; it asks for as many stages, in the same order.
        scale: whose published reports tell how long stages took.
        results: the results folder of the whole; the rehearsal's own lies in it.
        launcher: starts the stages.
    """

    build: Build
    whole: Build
    scale: str
    results: Path
    launcher: Launcher

    @property
    def folder(self) -> Path:
        """Return the rehearsal's own results folder."""
        return self.results / FOLDER

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
        """Run all stages that have not yet run here in this way; of a failed one only what stands on it is left out."""
        make_folder(self.folder)
        with only_run(self.folder, display):
            for stage in resolve_graph(self.with_vectors, self.folder)[0]:
                if (stage.job / CHOICES).exists() and _way(Choices.read(stage.job)) != _way(self.launcher.choices):
                    shutil.rmtree(stage.job)
        return run_stages(self.with_vectors, self.folder, display, self.launcher, keep_going=True)

    def end(self, stages: Sequence[Planned]) -> None:
        """Print what each of the stages that `run` returned took, what the whole will take, and what would stop it.

        Raises:
            StageFailed: some stages failed, or something else would stop the whole run.
        """
        parts = {stage.job: stage for stage in stages}
        pairs = [(whole, parts[self._part_of[whole.job]]) for whole in self._wholes]
        for whole, part in pairs:
            if isinstance(whole.config, Prepare) and isinstance(part.config, Prepare):
                note_whole(whole.config, part.config)
        trial = next((stage for stage in stages if stage.name == VECTORS), None)
        console = Console()
        console.print(self._table(pairs, trial), markup=False)
        stops, slows = self._obstacles(stages)
        lines = [] if trial is None else _tried(trial)
        lines += ["what would stop the whole run:", *(f"  {line}" for line in stops)] if stops else [NOTHING]
        lines += ["what would slow it down:", *(f"  {line}" for line in slows)] if slows else []
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        failed = sum(not stage.finished for stage in stages)
        if failed:
            raise StageFailed(
                f"{failed} of {len(stages)} stages of the rehearsal; the same command runs only those again"
            )
        if stops:
            raise StageFailed("the rehearsal; what would stop the whole run stands above")

    @cached_property
    def _asked(self) -> tuple[list[Planned], list[Path], list[Path]]:
        """The whole's stages, and the folders of all that is asked for, the whole's and the rehearsal's."""
        stages, wholes = _in_order(self.whole, self.results)
        for stage in (one for one in stages if read_manifest(one.job) is None):
            stage.reason = "new"
        return stages, wholes, _in_order(self.build, self.folder)[1]

    @property
    def _wholes(self) -> list[Planned]:
        return self._asked[0]

    @cached_property
    def _part_of(self) -> dict[Path, Path]:
        """The folder of the rehearsed stage that stands for each of the whole's."""
        return dict(zip(*self._asked[1:], strict=True))

    def _table(self, pairs: Sequence[tuple[Planned, Planned]], trial: Planned | None) -> Table:
        reckoned = estimated(self._wholes, self.scale, self.launcher.choices).seconds
        table = Table("stage", "took here", "RAM", "judging from that", "by the dry run", box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        begin = min((seconds_here(part) for _, part in pairs if numbers_of(part)), default=0.0)
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
        here = sum(seconds_here(part) for part in {part.job: part for _, part in pairs}.values())
        table.add_row("one after another", f"{here:.0f} s", "", *(_sum(pairs, found) for found in (judged, reckoned)))
        return table

    def _obstacles(self, stages: Sequence[Planned]) -> tuple[list[str], list[str]]:
        """Return what would stop the whole run, and what would slow it down, in words."""
        choices = self.launcher.choices
        todo = [stage for stage in self._wholes if not stage.finished]
        works = {stage.name: work_of(stage.config) for stage in todo}
        stops = [f"{one.name}: {one.failure}" for one in stages if one.failure is not None and not _inherits(one)]
        try:
            if not choices.alone:
                check_gpu(todo, self.scale, choices)
            check_disk(total(works.values()), self.results)
        except UserError as error:
            stops.append(str(error))
        return list(dict.fromkeys(stops)), in_parts(works, gpu_bytes(choices))


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


def _said(seconds: float | None) -> str:
    return "unknown" if seconds is None else span(seconds) if seconds >= MINUTES else f"{seconds:.0f} s"


def _sum(pairs: Iterable[tuple[Planned, Planned]], seconds: Mapping[Path, float | None]) -> str:
    found = [seconds.get(whole.job) for whole, _ in pairs]
    known = [one for one in found if one is not None]
    without = f", without {len(found) - len(known)} stages" if len(known) < len(found) else ""
    return f"{_said(sum(known))}{without}" if known else _said(None)


def _way(choices: Choices) -> Choices:
    """Return how a stage computed and on what machine, without what changes nothing for it."""
    return replace(choices, behind=0, commit="")


def _tried(trial: Planned) -> list[str]:
    """Say what the trial of vectors found."""
    found = numbers_of(trial)
    if not found:
        return []
    return [
        f"vectors of the whole collection, {found['vectors']:,} of {found['width']} dimensions "
        f"({size(found['bytes'])}): written in {found['write_seconds']:.1f} s, searched for one query in "
        f"{found['one_query_seconds']:.1f} s and for {found['queries']} in {found['search_seconds']:.1f} s, "
        f"made ready to answer single queries in {found['resident_seconds']:.1f} s"
    ]
