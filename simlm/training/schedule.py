"""Learning-rate schedules: warm-up, then linear decay to zero (Tables 11 and 13)."""

import math
from collections.abc import Callable

from simlm.errors import UserError

SCHEDULES = ("linear", "log")


def schedule(kind: str, warmup: int, steps: int) -> Callable[[int], float]:
    """The share of the peak rate at each update, as a function of the number of updates done before it.

    "linear": the share grows linearly over ``warmup`` updates. "log" is what DeepSpeed's default did to the released
    runs: update 1 at the peak, update k >= 2 with i = k - 2 at ln(i + 1) / ln(warmup) while i < warmup, then
    (steps - i) / (steps - warmup).
    """
    if kind not in SCHEDULES:
        raise UserError(f"unknown learning-rate schedule {kind!r}: choose one of {', '.join(SCHEDULES)}")
    if not 0 <= warmup < steps:
        raise UserError(f"warm-up of {warmup} updates in {steps} steps: warm-up must be shorter than training")

    def linear(done: int) -> float:
        if done < warmup:
            return done / max(1, warmup)
        return max(0.0, (steps - done) / (steps - warmup))

    def log(done: int) -> float:
        if done == 0:
            return 1.0
        i = done - 1
        if i < warmup:
            return math.log(i + 1) / math.log(warmup) if warmup > 1 else 1.0
        return max(0.0, (steps - i) / (steps - warmup))

    return linear if kind == "linear" else log
