"""Memory and time as a collection grows: `python -m repro.growth`, and growth.md from growth.json."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.outcome import ROOT, Parser, made_by, make_out, origin, write
from simlm.commands.leave import leave_by
from simlm.commands.machine import on_this_machine, this_machine
from simlm.errors import UserError
from simlm.workflow.resources import Choices

DESCRIPTION = """Measure the memory and the time of tokenising, encoding and searching synthetic collections of growing
size, each step in a process of its own. Writes growth.json and growth.md."""
EXAMPLES = """examples:
  python -m repro.growth --quick        2,000 and 10,000 passages, half a minute
  python -m repro.growth                10,000, 100,000 and 1,000,000, some minutes on two cores, 1 GB of disk
  python -m repro.growth --publish      also copy both files to reports/
"""
SIZES = (10_000, 100_000, 1_000_000)
QUICK = (2_000, 10_000)
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
"""As the stages' processes have it."""
STEPS = {
    "tokenise": "Passages generated one after the other, tokenised into the store that every stage reads. Beside a "
    "batch, memory holds 8 bytes a passage, by which ids that come twice are found, and 32 while these are sorted.",
    "encode": "The store to vectors, by a BERT of one layer and 64 dimensions with random weights. Beside a batch, "
    "memory holds the lengths and the order of a shard, of a million passages at most.",
    "search": "The 100 best of all vectors for 64 queries. Memory holds a block of at most 32,768 passages.",
}
"""The steps (`benchmarks.growth.steps`), and what the page says of each."""


def parser() -> Parser:
    """Return the options."""
    made = Parser("python -m repro.growth", DESCRIPTION, EXAMPLES)
    made.add_argument("--quick", action="store_true", help="small collections")
    made.add_argument("--largest", type=int, default=SIZES[-1], metavar="N", help="leave out collections above that")
    return made


def main() -> None:
    """Run the command."""
    leave_by(lambda: run(parser().parse_args()), "nothing was written")


def run(options: argparse.Namespace) -> None:
    """Check, measure and write."""
    if options.publish and options.quick:
        raise UserError("--publish is for the large collections: leave out --quick")
    sizes = [size for size in (QUICK if options.quick else SIZES) if size <= options.largest]
    if not sizes:
        raise UserError(f"--largest {options.largest}: the smallest collection has {SIZES[0]:,} passages")
    if options.publish and len(sizes) < 2:
        raise UserError(f"--publish --largest {options.largest}: growth shows in two sizes; leave out --largest")
    out = make_out(options.out)
    words = ["python -m repro.growth", *(["--quick"] if options.quick else [])]
    words += [f"--largest {options.largest}"] if options.largest != SIZES[-1] else []
    results = []
    for size in sizes:
        # Below --out, whose disk was chosen; it holds the store and the vectors until all steps are done.
        with tempfile.TemporaryDirectory(dir=out) as folder:
            for step in STEPS:
                results.append(measure(step, size, Path(folder)))
                print(f"{step:9} {size:>11,} passages {results[-1]['seconds']:8.1f} s", flush=True)
    report = origin(" ".join(words)) | {"machine": this_machine(on_this_machine(Choices())), "results": results}
    write("growth", report, markdown(report), out, options.publish)


def measure(step: str, passages: int, folder: Path) -> dict[str, Any]:
    """Do one step in a process of its own, and return what it says."""
    command = [sys.executable, "-m", "benchmarks.growth.steps", step, str(passages), str(folder.absolute())]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | QUIET, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["its process was killed"])[-1]
        raise UserError(f"{step} of {passages:,} passages failed: {said}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def markdown(report: dict[str, Any]) -> str:
    """Return the whole page."""
    lines = [
        "# Growth with the collection",
        "",
        made_by(report),
        "",
        f"- Machine: {report['machine']}.",
        "- Passages are synthetic, with MS MARCO's lengths as assumed in `benchmarks/passages.py`.",
        "- Each step of each size is a process of its own. Its memory is what it allocated beyond what it had after",
        "  its imports; pages of mapped files, which the system takes back when it needs them, are in the last column",
        "  only.",
        "",
    ]
    for step in dict.fromkeys(one["task"] for one in report["results"]):
        results = [one for one in report["results"] if one["task"] == step]
        lines += [f"## {step}", "", STEPS[step], "", *_rows(results), "", *_growth(results), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| passages | seconds | passages a second | memory, MB | with mapped files, MB |",
        "|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        cells = [f"{one['seconds']:.1f}", f"{one['passages'] / one['seconds']:,.0f}"]
        cells += [f"{count / 1e6:,.0f}" for count in (_added(one), one["peak_rss_bytes"])]
        lines.append(f"| {one['passages']:,} | {' | '.join(cells)} |")
    return lines


def _growth(results: list[dict[str, Any]]) -> list[str]:
    """Say how many bytes one more passage took between the two largest collections."""
    if len(results) < 2:
        return []
    first, last = results[-2:]
    each = max(0.0, (_added(last) - _added(first)) / (last["passages"] - first["passages"]))
    return [f"From {first['passages']:,} to {last['passages']:,} passages: {each:,.1f} bytes for each one more."]


def _added(result: dict[str, Any]) -> int:
    """Return the bytes that a step took beyond what its process had before."""
    difference: int = result["own_bytes"] - result["own_bytes_before"]
    return difference
