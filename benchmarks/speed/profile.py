"""Where a pre-training step goes: torch.profiler's kernels (operators on a CPU), in groups."""

import re
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.machine import Machine

GROUPS = (
    ("attention", r"flash|fmha|attention|^_forward$|^_backward$"),
    ("matrix products", r"gemm|nvjet|cutlass|cublas|xmma|splitk|::addmm|::mm|::bmm|mkldnn|_ChunkedCross"),
    ("optimizer and clipping", r"multi_tensor|adam|foreach|lpnorm"),
    ("compiled element-wise and reductions", r"^triton_"),
    ("copies", r"memcpy|memset|copy"),
)
"""The first group whose pattern a kernel's name holds; what fits none is "other"."""


def profiled(step: Callable[[], None], machine: Machine, top: int = 20) -> dict[str, Any]:
    """Milliseconds by group and of the ``top`` kernels in one call of ``step``, which ran before."""
    activities = [ProfilerActivity.CUDA] if machine.gpu else [ProfilerActivity.CPU]
    machine.wait()
    with profile(activities=activities) as profiler:
        step()
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
    slowest = sorted(kernels.items(), key=lambda pair: -pair[1])[:top]
    return {
        "groups_ms": groups,
        "top_ms": {_short(name): spent for name, spent in slowest},
        "total_ms": sum(kernels.values()),
    }


def _short(name: str) -> str:
    return name if len(name) <= 90 else f"{name[:87]}..."
