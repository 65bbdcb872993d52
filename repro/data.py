"""Collections listed, prepared and verified: `python -m repro.data --help` shows the commands."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from repro.dryrun import print_plan
from simlm.commands.checks import check_collection, check_machine, check_scale
from simlm.commands.collections import check_collections
from simlm.commands.display import TerminalDisplay
from simlm.commands.exits import leave_by
from simlm.commands.make import make
from simlm.commands.preflight import check_ready
from simlm.data.downloads import on_disk
from simlm.data.reference import OFFICIAL
from simlm.errors import UserError
from simlm.scales import NAMES, open_scale
from simlm.stages.data import Prepare
from simlm.stages.pipeline import Pipeline
from simlm.workflow.manifest import MANIFEST, read_json, seconds_of
from simlm.workflow.plan import Build, Planned, plan

DESCRIPTION = """Collections: what they are, and their tokenised form, which every table stands on.

Examples:
  python -m repro.data list                      what can be given to --collection, and what is prepared
  python -m repro.data prepare insuranceqa       check and tokenise a collection, as any table would
  python -m repro.data prepare notes             the same with a folder of yours, which lies in ./notes
  python -m repro.data prepare msmarco --scale paper    fetch and tokenise MS MARCO
  python -m repro.data verify notes              compare what was prepared with its checksums and with the folder
"""

Results = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Name = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME")]]


@dataclass(frozen=True)
class Known:
    """A kind of collection, as `list` shows it."""

    name: str
    what: str
    size: str
    licence: str


MS_MARCO = "MS MARCO's: non-commercial research"
KNOWN = (
    Known(
        "insuranceqa",
        "InsuranceQA (Feng et al., 2015), English; the scales mini and small",
        "27,413 passages; 21 MB, installed as insuranceqa-data 1.2",
        "research use",
    ),
    Known("insuranceqa-smoke", "the first of these; the scale smoke, for tests", "600 passages", "research use"),
    Known(
        "msmarco",
        "MS MARCO with titles as released with SimLM (Hub: intfloat/simlm-msmarco), TREC DL 2019 and 2020; the scale "
        "paper",
        "8,841,823 passages; an archive of some GB, fetched at first use",
        MS_MARCO,
    ),
    Known(
        "FOLDER with msmarco_bm25_official.zip",
        "the same from your own copy of that archive, packed or not",
        "8,841,823 passages",
        MS_MARCO,
    ),
    Known(
        "msmarco-titleless",
        "MS MARCO as ir_datasets has it, without titles, with TREC DL: a variant",
        "8,841,823 passages; 1.1 GB and queries, fetched at first use",
        MS_MARCO,
    ),
    Known(
        "nq:FILE",
        "Natural Questions over DPR's Wikipedia through ir_datasets; FILE has the test questions with their answers: "
        "DPR's nq-test.qa.csv, or what python -m baselines.questions FILE writes",
        "21,015,324 passages; 4.7 GB and questions, fetched at first use",
        "Wikipedia and Natural Questions: CC BY-SA 3.0; DPR's files: CC BY-NC 4.0",
    ),
    Known("FOLDER with corpus.jsonl", "a collection of your own in BEIR's layout", "any", "yours"),
    Known("irds:ID", "a data set of ir_datasets, which downloads it", "see ir-datasets.com", "see ir-datasets.com"),
)


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
    """Print the kinds of collections, then those that are prepared below the results folder."""
    for one in KNOWN:
        print(f"{one.name}\n    {one.what}\n    size: {one.size}; licence: {one.licence}")
        if (name := one.name.split(":")[0]) in OFFICIAL:
            files = on_disk(name)
            print(f"    on disk: {len(files)} files, {sum(files.values()):,} bytes" if files else "    not fetched yet")
    console, table = Console(), Table("prepared", "passages", "bytes", "fingerprint", "stage", box=None)
    for job in sorted(options.results.glob(f"jobs/{Prepare.__module__}.prepare/*")):
        store = read_json(job / "output" / "store" / "collection.json")
        manifest = read_json(job / MANIFEST)
        if store is None or manifest is None:
            continue
        size = sum(entry["size"] for entry in manifest["outputs"].values())
        passages = f"{store['statistics']['passages']:,}"
        table.add_row(store["name"], passages, f"{size:,}", store["fingerprint"][:16], job.name[:12])
    if table.row_count:
        console.print(table, markup=False)
    else:
        console.print(f"nothing is prepared in {options.results}", markup=False)


def prepare(options: PrepareOptions) -> None:
    """Run the stage that every other one stands on."""
    check_machine("auto", options.results, Path(options.scale))
    build = _build(options.name, options.scale)
    check_collections(build, options.results.absolute(), fetch=not options.dry_run)
    if options.dry_run:
        print_plan(plan(build, options.results.absolute())[0], options.scale, options.results)
        return
    check_ready(build, options.scale, options.results)
    (stage,), _ = make(build, options.results, TerminalDisplay())
    _describe(stage)


def verify(options: VerifyOptions) -> None:
    """UserError when the collection is not prepared, or what was prepared is damaged or of other content."""
    (stage,), data = plan(_build(options.name, options.scale), options.results.absolute())
    words = ["python", "-m", "repro.data", "prepare", options.name, "--scale", options.scale]
    mend = f"{shlex.join([*words, '--results', str(options.results)])} makes it"
    if not stage.was_finished and read_json(stage.job / MANIFEST) is None:
        raise UserError(f"{options.name} as it is now is not prepared in {options.results}; {mend}")
    if stage.reason is not None:
        raise UserError(f"{stage.job}: {stage.reason}; {mend} again")
    kept = (read_json(stage.job / "output" / "store" / "collection.json") or {})["fingerprint"]
    found = data.source().fingerprint()
    if found != kept:
        raise UserError(f"{options.name} reads differently now ({found[:16]} for {kept[:16]}): delete {stage.job}")
    _describe(stage)


def _describe(stage: Planned) -> None:
    """Print what a finished stage holds."""
    store = read_json(stage.job / "output" / "store" / "collection.json") or {}
    manifest = read_json(stage.job / MANIFEST) or {}
    counts = store["statistics"]
    splits = ", ".join(f"{name} {split['queries']:,} queries" for name, split in counts["splits"].items())
    print(f"{store['name']}: {counts['passages']:,} passages; {splits}")
    print(f"fingerprint: {store['fingerprint']}")
    print(f"prepared: {os.path.relpath(stage.job)} in {seconds_of(manifest):.0f} s, every file has its checksum")


def _build(name: str, scale: str) -> Build:
    """The stage of a collection at a scale; UserError for a name that is none."""
    check_scale(scale)
    own = {one: open_scale(one).collection for one in NAMES}
    if name in own.values() and own[scale] != name:
        other = next(one for one in NAMES if own[one] == name)
        raise UserError(f"{name} is not the collection of the scale {scale}: add --scale {other}")
    collection = "" if name == own[scale] else name
    if collection:
        check_collection(collection, scale)

    def build(submit: Callable[[Any, str], object]) -> Prepare:
        return Pipeline(open_scale(scale, collection), 0, submit).data

    return build


def main() -> None:
    """The command."""
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
    options: Any = tyro.cli(kind, description=DESCRIPTION, prog="python -m repro.data")
    leave_by(lambda: work[type(options)](options))


if __name__ == "__main__":
    main()
