"""How fast a GPU does each task: its speed in matrix products, and the share of it that the task was measured at."""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PERFORMANCE = Path(__file__).resolve().parents[2] / "reports" / "performance.json"
MEASURED: Mapping[str, tuple[str, str]] = {
    "pretrain": ("pretrain", "packed"),
    "padded pretrain": ("pretrain", "straightforward"),
    "finetune": ("finetune", "packed"),
    "encode": ("encode", "packed"),
    "search": ("search", "tiled"),
    "rerank": ("rerank", "packed"),
}
"""The measurement of `python -m repro.bench`, a task and a way, that stands for each task of stages on a GPU.

Packed pre-training was measured with SimLM's objective, and others are taken to be alike. Padded pre-training was
measured with logits at every position, which stages do not compute: they are faster.
"""


@dataclass(frozen=True)
class Throughput:
    """A GPU's speed.

    Attributes:
        peak: FLOP/s of large matrix products.
        shares: of the peak, by task.
        source: where both come from, in words.
        stated: whether somebody said what the peak is, of a GPU that need not be here.
    """

    peak: float
    shares: Mapping[str, float]
    source: str
    stated: bool

    def seconds(self, flop: Mapping[str, float]) -> float:
        """Return how long one GPU needs for the arithmetic of each task."""
        return sum(amount / (self.peak * self.shares[task]) for task, amount in flop.items())


def throughput(tflops: float | None) -> Throughput:
    """Return a GPU's speed, with so many TFLOP/s or else with what a matrix product reaches here, some seconds long."""
    shares, measured_on = published_shares()
    if tflops is None:
        peak = matrix_peak("cuda")
        source = f"{peak / 1e12:.3g} TFLOP/s, measured here"
    else:
        peak = tflops * 1e12
        source = f"{tflops:g} TFLOP/s, as stated"
    said = ", ".join(f"{task} {share:.0%}" for task, share in shares.items())
    source = f"matrix products at {source}; of that {said} (measured on {measured_on})"
    return Throughput(peak, shares, source, tflops is not None)


def published_shares() -> tuple[dict[str, float], str]:
    """Return the share of the peak that each task reached in reports/performance.json, and the device's name.

    Of a task's sizes the last is taken. Measurements at varied sizes are left out.
    """
    report = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
    compared = [one for one in report["results"] if "share_of_peak" in one and not one.get("varied")]
    measured = {(one["task"], one["way"]): one for one in compared}
    return {task: measured[one]["share_of_peak"] for task, one in MEASURED.items()}, report["machine"]["device"]


def matrix_peak(device: str) -> float:
    """Return the FLOP/s of a large square matrix product on random numbers: bfloat16 on "cuda", float32 on "cpu"."""
    import torch  # takes seconds, and most estimates do without

    size, kind = (8_192, torch.bfloat16) if device == "cuda" else (1_536, torch.float32)
    one, other = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    taken = []
    for _ in range(18):
        start = time.perf_counter()
        product = one @ other
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
        del product
    return 2 * size**3 / statistics.median(taken[3:])
