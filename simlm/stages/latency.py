"""How long one query takes, answered alone."""

import time
from collections.abc import Callable

QUERIES = 64
SECONDS = 20.0
"""After which no further query is asked: one takes as long as the other in an exact search."""


def mean_latency(answer: Callable[[int], object], count: int) -> float:
    """Mean seconds to ``answer`` a query by its number, one after the other; there are ``count``, at least one.

    The first is asked once more before, to warm up. Of the first 64 as many count as are begun in 20 seconds.
    """
    answer(0)
    start = time.perf_counter()
    for number in range(min(QUERIES, count)):
        answer(number)
        seconds = time.perf_counter() - start
        if seconds >= SECONDS:
            break
    return seconds / (number + 1)
