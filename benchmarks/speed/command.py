"""Speed of every hot path beside the straightforward way: `python -m repro.bench`."""

# Imports torch, transformers and numpy alone: machines with a GPU often have nothing else.
import argparse
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from benchmarks.outcome import Parser, make_out, origin, write
from simlm.commands.leave import leave_by
from simlm.errors import UserError

DESCRIPTION = """Measure pre-training, fine-tuning, encoding, search and re-ranking, each beside the straightforward way
to do it, in one run: BERT-base sizes on a GPU, mini's on a CPU. Writes performance.json and performance.md, of a CPU
performance-cpu.json and performance-cpu.md."""
EXAMPLES = """examples:
  python -m repro.bench --quick              everything, in two minutes on two cores and in five on a GPU
  python -m repro.bench                      everything, with more repeats, batch sizes, lengths and numbers of vectors
  python -m repro.bench pretrain encode      two of them
  python -m repro.bench --publish            also copy both files to reports/
"""
TASKS = {
    "pretrain": "pretraining",
    "finetune": "finetuning",
    "encode": "inference",
    "search": "search",
    "rerank": "inference",
}
"""The module in which each task is a function of the same name; it yields the ways to do it."""
# Threads that spin while a neighbour computes cost more than they save; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def parser() -> Parser:
    """Return the options."""
    made = Parser("python -m repro.bench", DESCRIPTION, EXAMPLES)
    made.add_argument("tasks", nargs="*", metavar="TASK", help=f"{', '.join(TASKS)}; all when left out")
    made.add_argument("--quick", action="store_true", help="fewer repeats, fewer texts, one size of each")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda; auto takes a GPU where there is one")
    made.add_argument("--commit", default=None, help="the code's commit, for a copy of it without its history")
    return made


def main() -> None:
    """Run the command."""
    leave_by(lambda: run(parser().parse_args()), "the files hold the tasks that were done")


def run(options: argparse.Namespace) -> None:
    """Check, measure and write."""
    unknown = [task for task in options.tasks if task not in TASKS]
    if unknown:
        raise UserError(f"unknown task {unknown[0]!r}: choose of {', '.join(TASKS)}")
    if options.device not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {options.device!r}: choose one of auto, cpu, cuda")
    if options.publish and (options.quick or options.tasks):
        raise UserError("--publish is for everything: leave out --quick and the tasks")
    out = make_out(options.out)
    from benchmarks.speed.report import markdown  # as late as torch, so that a mistake is said at once

    for report in measure(options.tasks or list(TASKS), options.device, options.quick, options.commit):
        name = "performance" if report["gpu"] else "performance-cpu"
        write(name, report, markdown(report), out, publish=False)
    if options.publish:
        write(name, report, markdown(report), out, publish=True)


def measure(tasks: Sequence[str], device: str, quick: bool, commit: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the content of the JSON file after each task: a run that is cut short leaves the tasks before."""
    import torch

    from benchmarks.speed.measure import Machine, description, measured
    from simlm.costs.throughput import matrix_peak

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no GPU here; choose cpu or auto")
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    machine = Machine(torch.device(chosen), quick)
    peak = matrix_peak(chosen)
    command = ["python -m repro.bench", *(tasks if len(tasks) < len(TASKS) else []), *(["--quick"] if quick else [])]
    report: dict[str, Any] = origin(" ".join(command), commit) | {
        "gpu": machine.gpu,
        "machine": description(machine),
        "peak_flop_per_second": peak,
        "results": [],
    }
    print(f"peak {peak / 1e12:.2f} TFLOP/s on {report['machine']['device']}", flush=True)
    for task in tasks:
        module = import_module(f"benchmarks.speed.{TASKS[task]}")
        for way in getattr(module, task)(machine):
            record = measured(machine, way, peak)
            report["results"].append(record)
            _say(record)
        if task == "pretrain":
            report["profile"] = module.profiled_pretraining(machine)
        yield report


def _say(record: dict[str, Any]) -> None:
    rate = f"{record['rate']:,.0f} {record['unit']}/s" if "rate" in record else record["error"] or "not measured"
    share = f", {record['share_of_peak']:.1%} of the peak" if "rate" in record else ""
    memory = f", {record['memory_gb']:.1f} GB" if record["memory_gb"] is not None else ""
    series = f", {record['varied']}: {record['at']:,}" if record["varied"] else ""
    print(f"{record['task']:9} {record['way']:22} {rate}{share}{memory}{series}", flush=True)
