"""The machine under a measurement: its name, its measured peak, and clocks that wait for the device."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from simlm.commands.origin import cpu_model


@dataclass(frozen=True)
class Machine:
    """A device, and how long to measure on it."""

    device: torch.device
    quick: bool

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def repeats(self) -> int:
        return 3 if self.quick else 5

    def autocast(self) -> torch.autocast:
        """bfloat16 on a GPU; float32, as every stage at mini scale, on a CPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.gpu)

    def wait(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()


def seconds(
    work: Callable[[], Any], machine: Machine, warm_up: int = 1, repeats: int | None = None, calls: int = 1
) -> list[float]:
    """How long a call of ``work`` takes, after ``warm_up`` unmeasured ones; CUDA events on a GPU.

    One figure a repeat, the mean of ``calls`` in a row: training does not wait for the device after each update.
    """
    calls = calls if machine.gpu else 1
    for _ in range(warm_up):
        work()
    machine.wait()
    taken = []
    for _ in range(repeats or machine.repeats):
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


def matrix_peak(machine: Machine) -> float:
    """FLOP/s of a large square matrix product on random numbers: bfloat16 on a GPU, float32 on a CPU."""
    size, dtype = (8_192, torch.bfloat16) if machine.gpu else (1_536, torch.float32)
    one, other = (torch.randn(size, size, device=machine.device).to(dtype) for _ in range(2))
    return 2 * size**3 / statistics.median(seconds(lambda: one @ other, machine, 3, 15))


def description(machine: Machine) -> dict[str, Any]:
    """Names and versions, nothing that tells whose machine it is."""
    import numpy
    import transformers

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if machine.gpu else cpu_model(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }
    if machine.gpu:
        properties = torch.cuda.get_device_properties(0)
        found |= {"memory_gb": round(properties.total_memory / 1e9, 1), "cuda": torch.version.cuda}
    return found
