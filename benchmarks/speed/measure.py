"""Measuring on a machine: how long one way to do a task takes, its memory, and where its time goes."""

import gc
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from simlm.commands.origin import cpu_model, has_bfloat16

Work = Callable[[], Any]


@dataclass(frozen=True)
class Machine:
    """A device, and whether to measure on it briefly."""

    device: torch.device
    quick: bool

    @property
    def gpu(self) -> bool:
        """Tell whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def own_way(self) -> str:
        """Return how stages lay out texts on it."""
        return "packed" if self.gpu else "padded by length"

    @property
    def half(self) -> bool:
        """Tell whether stages compute in bfloat16 on it, as with ``--precision auto``."""
        return self.gpu or has_bfloat16()

    def autocast(self) -> torch.autocast:
        """Return the precision of stages."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def plain_autocast(self) -> torch.autocast:
        """Return the precision of the straightforward ways: bfloat16 on a GPU, float32 on a CPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.gpu)

    def wait(self) -> None:
        """Wait until the device has computed what it was asked for."""
        if self.gpu:
            torch.cuda.synchronize()


class Made(NamedTuple):
    """Work that is ready to be timed.

    work: does it once.
    how: what is particular about this way, for the page.
    more: other figures, by name.
    """

    work: Work
    how: str
    more: Mapping[str, float] = {}


@dataclass(frozen=True)
class Way:
    """One way to do a task.

    Attributes:
        task: what is done.
        name: the way; ways of one task with the same units and FLOP are compared.
        what: on how much.
        make: prepares the work, so that nothing is held in memory before it is this way's turn.
        units: what is done in one call, in the unit `unit`; tokens are real ones, without padding.
        flop: of one call.
        warm_up: calls before the first that is timed.
        calls: how many are timed together on a GPU; training does not wait for the device after each update.
        more: other figures, by name.
        varied: what differs within a series that shows how speed scales; "" outside of one.
        at: its value.
    """

    task: str
    name: str
    what: str
    make: Callable[[], Made]
    units: float
    flop: float
    unit: str = "tokens"
    warm_up: int = 1
    calls: int = 1
    more: Mapping[str, float] = field(default_factory=dict)
    varied: str = ""
    at: int = 0


def measured(machine: Machine, way: Way, peak: float) -> dict[str, Any]:
    """Time a way, and return its record for the JSON file, with its share of the `peak`, in FLOP/s.

    What does not fit in memory is a record without times that says so.
    """
    _release(machine)
    made, taken, error = way.make(), [], None
    try:
        taken = seconds(machine, made.work, way.warm_up, way.calls)
    except torch.cuda.OutOfMemoryError:
        error = "out of memory"
    record = {
        "task": way.task,
        "way": way.name,
        "what": f"{way.what}; {made.how}",
        "seconds": taken,
        "unit": way.unit,
        "units": way.units,
        "flop": way.flop,
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if machine.gpu else None,
        "error": error,
        "varied": way.varied,
        "at": way.at,
        "more": {**way.more, **made.more},
    }
    if taken:
        median = statistics.median(taken)
        record |= {
            "median_seconds": median,
            "rate": way.units / median,
            "tflop_per_second": way.flop / median / 1e12,
            "share_of_peak": way.flop / median / peak,
        }
    return record


def seconds(machine: Machine, work: Work, warm_up: int = 1, calls: int = 1) -> list[float]:
    """Return how long a call takes, one figure a repeat: the mean of `calls` in a row, by CUDA events on a GPU."""
    calls = calls if machine.gpu else 1
    for _ in range(warm_up):
        work()
    machine.wait()
    taken = []
    for _ in range(3 if machine.quick else 5):
        if machine.gpu:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(calls):
                work()
            end.record()
            torch.cuda.synchronize()
            taken.append(begin.elapsed_time(end) / 1e3 / calls)
        else:
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return taken


def _release(machine: Machine) -> None:
    """Forget what earlier measurements took, and compiled: the number of compiled shapes has a limit."""
    gc.collect()
    if machine.gpu:
        torch.compiler.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


GROUPS = (
    ("attention", r"flash|fmha|attention|^_forward$|^_backward$"),
    ("matrix products", r"gemm|nvjet|cutlass|cublas|xmma|splitk|::addmm|::mm|::bmm|mkldnn|_ChunkedCross"),
    ("optimizer and clipping", r"multi_tensor|adam|foreach|lpnorm"),
    ("compiled element-wise and reductions", r"^triton_"),
    ("copies", r"memcpy|memset|copy"),
)
"""Groups of kernels: the first whose pattern a kernel's name holds; what fits none is "other"."""
LONGEST_NAMED = 20


def profiled(machine: Machine, made: Made) -> dict[str, Any]:
    """Return where the time of a call goes, in ms: by group, and of the longest kernels (on a CPU operators)."""
    _release(machine)
    made.work()
    machine.wait()
    with profile(activities=[ProfilerActivity.CUDA if machine.gpu else ProfilerActivity.CPU]) as profiler:
        made.work()
        machine.wait()
    kernels: dict[str, float] = {}
    for event in profiler.key_averages():
        spent = event.self_device_time_total if machine.gpu else event.self_cpu_time_total
        if spent > 0:
            kernels[event.key] = kernels.get(event.key, 0.0) + spent / 1e3
    groups = dict.fromkeys([name for name, _ in GROUPS] + ["other"], 0.0)
    for name, spent in kernels.items():
        found = (group for group, pattern in GROUPS if re.search(pattern, name, re.IGNORECASE))
        groups[next(found, "other")] += spent
    slowest = sorted(kernels.items(), key=lambda pair: -pair[1])[:LONGEST_NAMED]
    return {
        "groups_ms": groups,
        "top_ms": {name if len(name) <= 90 else f"{name[:87]}...": spent for name, spent in slowest},
        "total_ms": sum(kernels.values()),
    }


def description(machine: Machine) -> dict[str, Any]:
    """Return names and versions, nothing that tells whose machine it is."""
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if machine.gpu else cpu_model(),
        "threads": torch.get_num_threads(),
        "precision": "bfloat16" if machine.half else "float32",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }
    if machine.gpu:
        properties = torch.cuda.get_device_properties(0)
        found |= {"memory_gb": round(properties.total_memory / 1e9, 1), "cuda": torch.version.cuda}
    return found
