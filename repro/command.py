"""The options that all tables share, and how a command checks them, runs and ends."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import tyro

from ablations.retriever1_runs import NEGATIVES
from repro.pipeline_runs import PipelineRuns
from simlm.commands.checks import (
    check_collection,
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
from simlm.data.catalogue import find
from simlm.data.lookup import resolve
from simlm.errors import UserError
from simlm.files import short_name
from simlm.scales import PRECISIONS, Scale, open_scale, other_collection
from simlm.scales.rehearsal import FOLDER, rehearsed
from simlm.stages.pipeline import Submit
from simlm.workflow.resources import Choices


def _rows(keys: list[str]) -> tuple[str, ...]:
    if not keys:
        raise ValueError("name at least one row, or leave the option out for all")
    return tuple(dict.fromkeys(keys))


ROWS = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="KEY ...",
    instance_from_str=_rows,
    is_instance=lambda rows: isinstance(rows, tuple),
    str_from_instance=lambda rows: list(rows),
)
"""How to read --rows: without this, the option without a value would mean the whole table."""


@dataclass(frozen=True)
class Options:
    """How to run a table."""

    scale: str = "mini"
    """smoke (seconds, for tests), mini (InsuranceQA on two cores), small (the same from a public model) or paper (MS
    MARCO; docs/paper-scale.md says where it departs from the released code)."""
    collection: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """In place of the scale's own: a folder, irds:ID, or a name (docs/own-collection.md)."""
    rows: Annotated[tuple[str, ...], ROWS] = ()
    """Keys of the rows to measure, e.g. --rows bm25 simlm; all of them when left out."""
    negatives: str = "bm25"
    """Where Retriever1's hard negatives come from: bm25 (our own run), or package or official (the collection's)."""
    keep_own_passages: bool = False
    """Let queries that are passages themselves (same id and text, as in ArguAna) find and train on these passages."""
    seed: int = 0
    """Added to every seed of the scale; 0 is the published run."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes a GPU where there is one."""
    precision: str = "auto"
    """auto, float32 or bfloat16: what stages compute in; auto is bfloat16 on GPUs, and on processors that have it."""
    processes: int = 1
    """How many processes share each stage's training, encoding, searching and scoring; on GPUs each takes one."""
    search: str = "torch"
    """What finds the nearest passages, torch or faiss (in the extras cpu and gpu): the same runs up to rounding."""
    results: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("results")
    """Folder of stages, runs and reports. What is finished there is reused."""
    publish: bool = False
    """Also copy the outcome into the repository, a table's report to reports/<scale>/."""
    rehearse: bool = False
    """Try everything first, in minutes: few updates on a part of the collection, into <results>/rehearsal; ends with
    what each stage took, what the whole run will take, and what would stop it (docs/paper-scale.md)."""
    dry_run: bool = False
    """List every stage as finished or to do, with an estimate of its time, disk and GPU memory, and stop."""
    tflops: float = 0.0
    """With --dry-run: the estimate for a GPU that reaches so many TFLOP/s in bfloat16 matrix products (H100: 800)."""

    def __post_init__(self) -> None:
        """Take a scale's own collection as if it were not named."""
        object.__setattr__(self, "collection", other_collection(self.scale, self.collection))

    @property
    def folder(self) -> Path:
        """Return the folder of stages and reports: a rehearsal's is apart from all others."""
        return self.results / FOLDER if self.rehearse else self.results

    @property
    def trains(self) -> bool:
        """Say whether stages train on the collection, which must then be large enough."""
        return True

    @property
    def variant(self) -> str:
        """Return the name of the folder for reports that differ from the published ones, "" for those that do not."""
        parts = [f"collection-{resolve(self.collection).slug}"] if self.collection else []
        parts += ["own-passages-kept"] if self.keep_own_passages else []
        parts += [f"seed-{self.seed}"] if self.seed else []
        parts += ["negatives-package"] if self.negatives != "bm25" else []
        parts += [] if self.precision == "auto" else [self.precision]
        # The same rows in another order, or one of them twice, are the same report.
        parts += ["rows-" + "-".join(sorted(set(self.rows)))] if self.rows else []
        return short_name("_".join(parts))

    @property
    def published_in(self) -> str:
        """Return the name of the folder of published reports, another where the precision was asked for."""
        return self.scale if self.precision == "auto" else f"{self.scale}-{self.precision}"

    def choices(self) -> Choices:
        """Return how stages compute on this machine."""
        return with_origin(on_this_machine(Choices(self.device, self.processes, self.search)))

    def on_gpu(self) -> bool:
        """Tell whether stages compute on a GPU of this machine."""
        return bool(on_this_machine(Choices(self.device)).gpus)

    def open_scale(self) -> Scale:
        """Return the settings of the scale, on the collection that was named; new ones at each call."""
        scale = open_scale(self.scale, self.collection)
        precision = chosen_precision(self.precision, scale.precision, self.on_gpu)
        chosen = replace(scale, keep_own=self.keep_own_passages, precision=precision)
        return rehearsed(chosen) if self.rehearse else chosen

    def whole(self) -> Self:
        """Return the options of the run that these rehearse, or the same."""
        return replace(self, rehearse=False)

    def pipeline_runs(self, submit: Submit, scale: Scale | None = None) -> PipelineRuns:
        """Return the pipeline's runs at this scale or one made of it, with this seed and these negatives."""
        if scale is None:
            scale = self.open_scale()
        elif self.rehearse:
            scale = rehearsed(scale)
        return PipelineRuns(scale, self.seed, submit, self.negatives)


def main(command: Callable[[Any], None], description: str | None, kind: type[Options] = Options) -> None:
    """Parse the command line, run a command with the options, and exit as every command does.

    Args:
        command: Does the work.
        description: The text of ``--help`` above the options, usually the docstring of the module.
        kind: The class of the options.
    """

    def work() -> None:
        options = parse(kind, description or "")
        check(options)
        command(options)

    leave_by(work)


def check(options: Options) -> None:
    """Raise UserError for options that cannot work, before anything is written."""
    check_scale(options.scale)
    check_known("source of negatives", options.negatives, NEGATIVES)
    if options.publish and options.rehearse:
        raise UserError("--publish: nothing of a rehearsal is published; leave out --publish, or --rehearse")
    if options.publish and (options.collection or options.variant not in ("", options.precision)):
        raise UserError(
            "--publish is for the whole table of the scale's own collection: leave out --collection, --rows, --seed, "
            "--negatives and what else changes what is measured"
        )
    check_seed("--seed", options.seed, 0)
    check_tflops(options.tflops, options.dry_run)
    check_machine(options.device, options.folder, Path(options.scale, options.variant))
    check_known("precision", options.precision, ("auto", *PRECISIONS))
    check_processes(options.processes, options.device, options.folder)
    check_search(options.search, options.device)
    if options.keep_own_passages and (not options.collection or find(options.collection.partition(":")[0])):
        raise UserError(
            f"--keep-own-passages: no query of {options.collection or 'this collection'} is a passage; leave it out"
        )
    if options.collection:
        # Last: it reads every file of a folder, or imports ir_datasets, which makes folders below HOME.
        check_collection(options.collection, options.scale, options.negatives, options.trains)


def refuse(options: Options, command: str, *names: str) -> None:
    """Raise UserError if one of the options called ``names`` is given: none of them changes what a command does."""
    for name in names:
        if getattr(options, name) != getattr(Options(), name):
            raise UserError(f"--{name.replace('_', '-')} changes nothing in {command}: leave it out")
