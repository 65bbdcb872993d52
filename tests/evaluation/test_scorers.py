"""Two scorers of the same lists: figures against loops over pairs."""

import math

import numpy as np
import pytest

from simlm.evaluation.agreement import alike

LISTS = [
    ([3.0, 1.0, 2.0, 2.0], [0.5, -1.0, 0.7, 0.2]),
    ([1.0, 2.0], [10.0, 30.0]),
    ([9.0], [1.0]),  # says nothing
    ([], []),
    ([5.0, 4.0, -1.0], [7.0, 6.0, 1.0]),
]


def tau_b(one: list[float], other: list[float]) -> float:
    agree = ties_one = ties_other = pairs = 0
    for i in range(len(one)):
        for j in range(i):
            a, b = np.sign(one[i] - one[j]), np.sign(other[i] - other[j])
            agree += int(a * b)
            ties_one, ties_other, pairs = ties_one + (a == 0), ties_other + (b == 0), pairs + 1
    return float(agree / math.sqrt((pairs - ties_one) * (pairs - ties_other)))


def test_figures_are_their_definitions() -> None:
    found = alike((np.array(one), np.array(other)) for one, other in LISTS)
    counted = [(one, other) for one, other in LISTS if len(one) > 1]
    squares, first = 0.0, 0
    for one, other in counted:
        shift = sum(one) / len(one) - sum(other) / len(other)
        squares += sum((a - b - shift) ** 2 for a, b in zip(one, other, strict=True))
        first += one.index(max(one)) == other.index(max(other))
    assert found is not None and (found.lists, found.pairs) == (3, 9)
    assert found.kendall == pytest.approx(sum(tau_b(*both) for both in counted) / 3)
    assert found.first == first / 3 and 0 < first < 3
    assert found.error == pytest.approx(math.sqrt(squares / 9))


def test_a_constant_added_to_a_list_changes_nothing() -> None:
    found = alike([(np.array([1.0, 3.0, 2.0]), np.array([101.0, 103.0, 102.0]))])
    assert found == (1, 3, pytest.approx(1.0), 1.0, pytest.approx(0.0, abs=1e-12))


def test_nothing_to_compare() -> None:
    assert alike([(np.array([1.0]), np.array([1.0]))]) is None and alike([]) is None
    flat = alike([(np.array([1.0, 1.0]), np.array([1.0, 2.0]))])
    assert flat is not None and math.isnan(flat.kendall)
