"""A query's latency, by a clock that the test turns."""

import pytest

from simlm.stages import latency
from simlm.stages.latency import mean_latency


@pytest.mark.parametrize(
    ("count", "each", "counted"),
    [(200, 0.25, 64), (3, 0.25, 3), (1, 0.25, 1), (200, 4.0, 5), (200, 7.0, 3), (200, 300.0, 1)],
)
def test_the_mean_of_what_is_begun_in_time(
    count: int, each: float, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = 0.0, []

    def answer(number: int) -> None:
        nonlocal now
        now += each if asked else 1_000.0  # the first warms up
        asked.append(number)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    assert mean_latency(answer, count) == each
    assert asked == [0, *range(counted)]
