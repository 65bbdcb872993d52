"""Collections listed, prepared and verified: `python -m repro.data --help` shows the commands."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from simlm.commands.checks import check_collection, check_machine, check_scale
from simlm.commands.command_line import parse
from simlm.commands.dryrun import print_plan
from simlm.commands.leave import leave_by
from simlm.commands.machine import with_origin
from simlm.commands.preflight import check_collections, check_ready
from simlm.commands.rehearsal import Rehearsal
from simlm.commands.run_stages import TerminalDisplay, run_stages
from simlm.data.catalogue import CATALOGUE, MSMARCO
from simlm.errors import UserError
from simlm.files import read_json
from simlm.paths import shown
from simlm.scales import NAMES, open_scale, other_collection
from simlm.scales.rehearsal import FOLDER, rehearsed
from simlm.stages.data import Prepare
from simlm.stages.pipeline import Pipeline
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.manifest import MANIFEST, read_manifest, seconds_of
from simlm.workflow.plan import Build, Planned, plan
from simlm.workflow.resources import Choices

DESCRIPTION = """Collections: what they are, and their tokenised form, which every table stands on.

Examples:
  python -m repro.data list                      what can be given to --collection, and what is prepared
  python -m repro.data prepare insuranceqa       check and tokenise a collection, as any table would
  python -m repro.data prepare notes             the same with a folder of yours, which lies in ./notes
  python -m repro.data prepare msmarco --scale paper    fetch and tokenise MS MARCO
  python -m repro.data prepare notes --rehearse  find out in minutes whether that will go well, and how long it takes
  python -m repro.data verify notes              compare what was prepared with its checksums and with the folder
"""

Results = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Name = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME")]]


OTHERS = (
    (
        "FOLDER with msmarco_bm25_official.zip",
        "MS MARCO from your own copy of that archive, packed or not",
        f"{MSMARCO.passages:,} passages",
        MSMARCO.licence,
    ),
    ("FOLDER with corpus.jsonl", "a collection of your own in BEIR's layout", "any", "yours"),
    ("irds:ID", "a data set of ir_datasets, which downloads it", "see ir-datasets.com", "see ir-datasets.com"),
)
"""What is no built-in collection: how it is named, what it is, its size and its licence."""


@dataclass(frozen=True)
class ListOptions:
    """What can be given to --collection, and what is prepared."""

    results: Results = Path("results")
    """Folder of stages, runs and reports."""


@dataclass(frozen=True)
class PrepareOptions:
    """Fetch a collection where need be, check and tokenise it, unless that is done.

    A command that was stopped goes on with its download and starts the rest again.
    """

    name: Name
    """A collection as `list` names it."""
    scale: str = "mini"
    """The scale whose vocabulary is trained on it."""
    results: Results = Path("results")
    """Folder of stages, runs and reports."""
    rehearse: bool = False
    """Fetch and read all of it, but tokenise a part, into <results>/rehearsal (docs/paper-scale.md)."""
    dry_run: bool = False
    """Say whether there is something to do, and stop."""


@dataclass(frozen=True)
class VerifyOptions:
    """Compare what was prepared with its checksums, and the collection with what it was then."""

    name: Name
    """A collection as `list` names it."""
    scale: str = "mini"
    """The scale that it was prepared for."""
    results: Results = Path("results")
    """Folder of stages, runs and reports."""


def list_collections(options: ListOptions) -> None:
    """Print what can be given to --collection, then the collections that are prepared below the results folder."""
    for one in CATALOGUE.values():
        _print_kind(f"{one.name}:FILE" if one.question_file else one.name, one.title, one.size, one.licence)
        if one.download is not None:
            files = one.download.on_disk()
            print(f"    on disk: {len(files)} files, {sum(files.values()):,} bytes" if files else "    not fetched yet")
    for other in OTHERS:
        _print_kind(*other)
    console, table = Console(), Table("prepared", "passages", "bytes", "fingerprint", "stage", box=None)
    for job in sorted(options.results.glob(f"jobs/{Prepare.__module__}.prepare/*")):
        store = read_json(job / "output" / "store" / "collection.json")
        manifest = read_manifest(job)
        if store is None or manifest is None:
            continue
        size = sum(entry["size"] for entry in manifest["outputs"].values())
        passages = f"{store['statistics']['passages']:,}"
        name = manifest["numbers"].get("name", store["name"])  # older versions left it in the store
        table.add_row(name, passages, f"{size:,}", store["fingerprint"][:16], job.name[:12])
    if table.row_count:
        console.print(table, markup=False)
    else:
        console.print(f"nothing is prepared in {options.results}", markup=False)


def _print_kind(name: str, title: str, size: str, licence: str) -> None:
    print(f"{name}\n    {title}\n    size: {size}; licence: {licence}")


def prepare(options: PrepareOptions) -> None:
    """Run the stage that every other one stands on."""
    check_machine("auto", options.results, Path(options.scale))
    build = _build(options.name, options.scale)
    check_collections(build, options.results, fetch=not options.dry_run)
    choices = with_origin(Choices("cpu"))
    if options.dry_run:
        print_plan(plan(build, options.results)[0], options.scale, options.results, choices)
        return
    if options.rehearse:
        part = _build(options.name, options.scale, part=True)
        check_ready(part, options.scale, options.results / FOLDER, choices)
        rehearsal = Rehearsal(part, build, options.scale, options.results, LocalLauncher(choices))
        rehearsal.end(rehearsal.run(TerminalDisplay())[0])
        return
    check_ready(build, options.scale, options.results, choices)
    (stage,), data = run_stages(build, options.results, TerminalDisplay(), LocalLauncher(choices))
    _describe(stage, data.source().name)


def verify(options: VerifyOptions) -> None:
    """Refuse a collection that is not prepared, or whose prepared form is damaged or of other content."""
    (stage,), data = plan(_build(options.name, options.scale), options.results)
    words = ["python", "-m", "repro.data", "prepare", options.name, "--scale", options.scale]
    mend = f"{shlex.join([*words, '--results', str(options.results)])} makes it"
    if not stage.was_finished and not (stage.job / MANIFEST).exists():
        raise UserError(f"{options.name} as it is now is not prepared in {options.results}; {mend}")
    if stage.reason is not None:
        raise UserError(f"{stage.job}: {stage.reason}; {mend} again")
    kept = (read_json(stage.job / "output" / "store" / "collection.json") or {})["fingerprint"]
    source = data.source()
    found = source.fingerprint()
    if found != kept:
        raise UserError(f"{options.name} reads differently now ({found[:16]} for {kept[:16]}): delete {stage.job}")
    _describe(stage, source.name)


def _describe(stage: Planned, name: str) -> None:
    """Print what a finished stage holds, under the collection's present name."""
    store = read_json(stage.job / "output" / "store" / "collection.json") or {}
    manifest = read_manifest(stage.job) or {}
    counts = store["statistics"]
    splits = ", ".join(f"{name} {split['queries']:,} queries" for name, split in counts["splits"].items())
    print(f"{name}: {counts['passages']:,} passages; {splits}")
    print(f"fingerprint: {store['fingerprint']}")
    print(f"prepared: {shown(stage.job)} in {seconds_of(manifest):.0f} s, every file has its checksum")


def _build(name: str, scale: str, part: bool = False) -> Build:
    """Return the stage of a collection, or of a part of it, at a scale; UserError for a name that is none."""
    check_scale(scale)
    own = {one: open_scale(one).collection for one in NAMES}
    if name in own.values() and own[scale] != name:
        other = next(one for one in NAMES if own[one] == name)
        raise UserError(f"{name} is not the collection of the scale {scale}: add --scale {other}")
    collection = other_collection(scale, name)
    if collection:
        check_collection(collection, scale)

    def build(submit: Callable[[Any, str], object]) -> Prepare:
        chosen = open_scale(scale, collection)
        return Pipeline(rehearsed(chosen) if part else chosen, 0, submit).data

    return build


def main() -> None:
    """Run the command."""
    work: dict[type, Callable[[Any], None]] = {
        ListOptions: list_collections,
        PrepareOptions: prepare,
        VerifyOptions: verify,
    }
    kind: Any = (
        Annotated[ListOptions, tyro.conf.subcommand("list")]
        | Annotated[PrepareOptions, tyro.conf.subcommand("prepare")]
        | Annotated[VerifyOptions, tyro.conf.subcommand("verify")]
    )

    def chosen() -> None:
        options: Any = parse(kind, DESCRIPTION, prog="python -m repro.data")
        work[type(options)](options)

    leave_by(chosen)


if __name__ == "__main__":
    main()
