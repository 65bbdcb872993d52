"""One measurement: what it did, how fast, and how much memory it took."""

import gc
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.speed.machine import Machine, seconds


@dataclass
class Result:
    """One way of doing one thing; units are in the names, tokens are real ones.

    ``varied`` is what differs within a series that shows how speed scales, and ``at`` its value; "" outside of one.
    """

    task: str
    way: str
    what: str
    seconds: list[float]
    unit: str
    units: float
    flop: float
    memory_gb: float | None = None
    error: str | None = None
    varied: str = ""
    at: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    def record(self, peak: float) -> dict[str, Any]:
        """As it is written to JSON, with rates and the share of the measured ``peak`` FLOP/s."""
        median = statistics.median(self.seconds) if self.seconds else None
        rates: dict[str, Any] = {}
        if median:
            rates = {
                "median_seconds": median,
                "rate": self.units / median,
                "tflop_per_second": self.flop / median / 1e12,
                "share_of_peak": self.flop / median / peak,
            }
        return asdict(self) | rates


def measured(
    machine: Machine,
    task: str,
    way: str,
    what: str,
    work: Callable[[], Any],
    units: float,
    flop: float,
    unit: str = "tokens",
    warm_up: int = 1,
    calls: int = 1,
    more: dict[str, Any] | None = None,
    varied: str = "",
    at: int = 0,
) -> Result:
    """Time ``work``, ``calls`` of it in a row; what does not fit in memory is a result without times that says so."""
    release(machine)
    result = Result(task, way, what, [], unit, units, flop, varied=varied, at=at, more=more or {})
    try:
        result.seconds = seconds(work, machine, warm_up, calls=calls)
    except torch.cuda.OutOfMemoryError:
        result.error = "out of memory"
    if machine.gpu:
        result.memory_gb = torch.cuda.max_memory_allocated() / 1e9
    return result


def release(machine: Machine) -> None:
    """Forget what earlier measurements took, and compiled: what is compiled for has a limit."""
    gc.collect()
    if machine.gpu:
        torch.compiler.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
