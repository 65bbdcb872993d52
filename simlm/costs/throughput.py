"""How fast a GPU does each task: its matrix products, and the share of them that a task reaches on real tokens."""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PERFORMANCE = Path(__file__).resolve().parents[2] / "reports" / "performance.json"
PACKED: Mapping[str, tuple[str, str]] = {
    "pretrain": ("pretrain", "packed"),
    "other pretrain": ("pretrain", "packed"),
    "finetune": ("finetune", "packed"),
    "encode": ("encode", "packed"),
    "search": ("search", "tiled"),
    "rerank": ("rerank", "packed"),
}
WAYS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "as stages compute": {**PACKED, "other pretrain": ("pretrain", "straightforward")},
    "packed throughout": PACKED,
}
"""Which measurement of `python -m repro.bench`, a task and a way, stands for what stages do.

On a GPU stages pre-train, fine-tune, encode and score without padding; they pre-train with it where an objective has no
packed form, and fine-tune and encode so where a start is neither BERT nor ELECTRA, which is left out of account. Packed
pre-training was measured with SimLM's objective, and others are taken to be alike.
Padded pre-training was measured with logits at every position, which stages do not compute: they are faster.
"""
SIZE, REPEATS = 8_192, 10


@dataclass(frozen=True)
class Throughput:
    """FLOP/s of large matrix products, the share of them by task, and where both come from."""

    peak: float
    shares: Mapping[str, float]
    source: str
    stated: bool
    """Whether somebody said what the peak is, of a GPU that need not be here."""

    def seconds(self, flop: Mapping[str, float]) -> float:
        """How long one GPU needs for the arithmetic of each task."""
        return sum(amount / (self.peak * self.shares[task]) for task, amount in flop.items())


def throughput(tflops: float | None, way: str = "as stages compute") -> Throughput:
    """With a stated number of TFLOP/s, or what a matrix product reaches on the GPU here, which takes a few seconds."""
    shares, measured_on = published_shares(way)
    if tflops is None:
        peak, source = _matrix_product()
    else:
        peak, source = tflops * 1e12, f"{tflops:g} TFLOP/s, as stated"
    said = ", ".join(f"{task} {share:.0%}" for task, share in shares.items())
    return Throughput(
        peak,
        shares,
        f"matrix products at {source}; of that {said} ({way}, measured on {measured_on})",
        tflops is not None,
    )


def published_shares(way: str) -> tuple[dict[str, float], str]:
    """The share of the peak that each task reached in reports/performance.json, and on which device."""
    report = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
    compared = [one for one in report["results"] if "share_of_peak" in one and not one.get("varied")]
    measured = {(one["task"], one["way"]): one for one in compared}
    shares = {task: measured[one]["share_of_peak"] for task, one in WAYS[way].items()}
    return shares, report["machine"]["device"]


def _matrix_product() -> tuple[float, str]:
    """FLOP/s of a bfloat16 product on this machine's GPU."""
    import torch

    one, other = (torch.randn(SIZE, SIZE, device="cuda").bfloat16() for _ in range(2))

    def seconds() -> float:
        start = time.perf_counter()
        product = one @ other
        torch.cuda.synchronize()
        del product
        return time.perf_counter() - start

    seconds()
    peak = 2 * SIZE**3 / statistics.median(seconds() for _ in range(REPEATS))
    return peak, f"{peak / 1e12:.3g} TFLOP/s, measured here"
