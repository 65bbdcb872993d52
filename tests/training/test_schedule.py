"""Learning-rate schedules against METHOD's formulas, update by update."""

import math

import pytest

from simlm.errors import UserError
from simlm.training.plan import schedule


def linear(k: int, warmup: int, steps: int) -> float:
    """The share of the peak at update k = 1, 2, ...: k - 1 updates are done before it."""
    if k - 1 < warmup:
        return (k - 1) / warmup
    return (steps - (k - 1)) / (steps - warmup)


def log(k: int, warmup: int, steps: int) -> float:
    """What DeepSpeed's default did to the released runs."""
    if k == 1:
        return 1.0
    i = k - 2
    if i < warmup:
        return math.log(i + 1) / math.log(warmup)
    return (steps - i) / (steps - warmup)


@pytest.mark.parametrize(("warmup", "steps"), [(10, 50), (2, 5), (400, 2000), (49, 50)])
@pytest.mark.parametrize(("kind", "formula"), [("linear", linear), ("log", log)])
def test_every_update(kind: str, formula: object, warmup: int, steps: int) -> None:
    assert callable(formula)
    shape = schedule(kind, warmup, steps)
    for k in range(1, steps + 1):
        assert shape(k - 1) == pytest.approx(formula(k, warmup, steps), abs=1e-12)


def test_by_hand() -> None:
    ours = schedule("linear", 4, 12)
    assert [ours(done) for done in (0, 1, 3, 4, 8, 11, 12, 13)] == [0, 0.25, 0.75, 1, 0.5, 0.125, 0, 0]
    released = schedule("log", 4, 12)
    expected = [1, 0, 0.5, math.log(3) / math.log(4), 1, 1, 7 / 8]
    assert [released(done) for done in range(7)] == pytest.approx(expected)
    assert released(11) == pytest.approx(2 / 8)


@pytest.mark.parametrize("kind", ["linear", "log"])
@pytest.mark.parametrize("warmup", [0, 1])
def test_without_a_real_warm_up_it_starts_at_the_peak_and_falls(kind: str, warmup: int) -> None:
    shape = schedule(kind, warmup, 10)
    shares = [shape(done) for done in range(warmup, 11)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert min(shares) >= 0


def test_mistakes() -> None:
    with pytest.raises(UserError, match="unknown learning-rate schedule 'cosine': choose one of linear, log"):
        schedule("cosine", 1, 10)
    for warmup in (10, 11, -1):
        with pytest.raises(UserError, match="warm-up must be shorter than training"):
            schedule("linear", warmup, 10)
